import type { Counter, Gauge, Registry } from 'prom-client';

export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** A metric that somebody else counts. @param samples asked whenever metrics are; those with the same labels are added up */
export function addCollected(
  registry: Registry,
  Metric: typeof Counter | typeof Gauge,
  [name, help]: readonly [name: string, help: string],
  labelNames: string[],
  samples: () => Iterable<Sample>,
): void {
  const collect = () => {
    metric.reset();
    for (const [labels, value] of samples()) metric.inc(labels, value);
  };
  const metric = new Metric({ name, help, labelNames, registers: [registry], collect });
}
