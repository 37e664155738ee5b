import { Counter, Gauge, type Registry } from 'prom-client';
import type { EndpointNumbers } from '../notifications/endpoint.ts';
import { addCollected, type Sample } from './collected.ts';

/** Distribution's, under its names. @param read asked whenever metrics are */
export function addNotificationMetrics(registry: Registry, read: () => readonly EndpointNumbers[]): void {
  function add(
    Metric: typeof Counter | typeof Gauge,
    about: readonly [name: string, help: string],
    labels: string[],
    samplesOf: (numbers: EndpointNumbers) => Sample[],
  ) {
    const samples = () =>
      read().flatMap((numbers) =>
        samplesOf(numbers).map(([own, value]): Sample => [{ ...own, endpoint: numbers.name }, value]),
      );
    addCollected(registry, Metric, about, [...labels, 'endpoint'], samples);
  }

  add(
    Counter,
    [
      'registry_notifications_events_total',
      'Events, those that were delivered, and attempts that were refused (Failures) or not answered (Errors).',
    ],
    ['type'],
    ({ events, successes, failures, errors }) => [
      [{ type: 'Events' }, events],
      [{ type: 'Successes' }, successes],
      [{ type: 'Failures' }, failures],
      [{ type: 'Errors' }, errors],
    ],
  );
  add(Gauge, ['registry_notifications_pending_total', 'Events that wait.'], [], ({ pending }) => [[{}, pending]]);
  add(Counter, ['registry_notifications_status_total', 'Answers to events.'], ['code'], ({ statuses }) =>
    Object.entries(statuses).map(([code, count]): Sample => [{ code }, count]),
  );
  add(
    Counter,
    ['berth_notifications_dropped_total', 'Events that an endpoint will never be told, as too many waited.'],
    [],
    ({ dropped }) => [[{}, dropped]],
  );
}
