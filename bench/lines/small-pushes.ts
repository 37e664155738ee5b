import { type Bench, firstNumber, type Scenario } from './line.ts';

/**
 * Pushing whole small images, as a farm of builders does.
 *
 * @param perSecond instead of all that can be pushed in the time, so many images for each second of it, however long
 *   it takes: where only a few are done in a second, those that are under way at its end weigh too much
 */
export function smallPushScenario({ load, signal }: Bench, clients: number, perSecond?: number): Scenario {
  return {
    fresh: false,
    spacePerRound: 1 << 30,
    lines: [
      {
        name: `small image push, ${clients} client${clients > 1 ? 's' : ''}`,
        unit: 'ops/s',
        aim: { ratio: 1.5 },
        prepare({ port }, turn) {
          const { seconds } = turn;
          const job = { kind: 'images', port, clients, seconds, firstNumber: firstNumber(turn) } as const;
          const bound = perSecond === undefined ? {} : { images: seconds * perSecond };
          return load.prepare({ ...job, ...bound }, signal);
        },
      },
    ],
  };
}
