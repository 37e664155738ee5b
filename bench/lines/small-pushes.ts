import { type Bench, firstNumber, type Scenario } from './line.ts';

/** Pushing whole small images, as a farm of builders does. */
export function smallPushScenario({ load, signal }: Bench, clients: number): Scenario {
  return {
    fresh: false,
    spacePerRound: 1 << 30,
    lines: [
      {
        name: `small image push, ${clients} client${clients > 1 ? 's' : ''}`,
        unit: 'ops/s',
        aim: { ratio: 1.5 },
        prepare: ({ port }, turn) =>
          load.prepare(
            { kind: 'images', port, clients, seconds: turn.seconds, firstNumber: firstNumber(turn) },
            signal,
          ),
      },
    ],
  };
}
