import { Counter, Gauge, type Registry } from 'prom-client';
import type { EndpointNumbers } from '../notifications.ts';

/** Distribution's, under its names. @param read asked whenever metrics are */
export function addNotificationMetrics(registry: Registry, read: () => readonly EndpointNumbers[]): void {
  const registers = [registry];
  const events: Counter = new Counter({
    name: 'registry_notifications_events_total',
    help: 'Events, those that were delivered, and attempts that were refused (Failures) or not answered (Errors).',
    labelNames: ['type', 'endpoint'],
    registers,
    collect() {
      events.reset();
      for (const { name: endpoint, ...numbers } of read()) {
        events.inc({ type: 'Events', endpoint }, numbers.events);
        events.inc({ type: 'Successes', endpoint }, numbers.successes);
        events.inc({ type: 'Failures', endpoint }, numbers.failures);
        events.inc({ type: 'Errors', endpoint }, numbers.errors);
      }
    },
  });
  const pending: Gauge = new Gauge({
    name: 'registry_notifications_pending_total',
    help: 'Events that wait.',
    labelNames: ['endpoint'],
    registers,
    collect() {
      pending.reset();
      for (const { name: endpoint, pending: count } of read()) pending.inc({ endpoint }, count);
    },
  });
  const statuses: Counter = new Counter({
    name: 'registry_notifications_status_total',
    help: 'Answers to events.',
    labelNames: ['code', 'endpoint'],
    registers,
    collect() {
      statuses.reset();
      for (const { name: endpoint, statuses: counts } of read()) {
        for (const [code, count] of Object.entries(counts)) statuses.inc({ code, endpoint }, count);
      }
    },
  });
  const dropped: Counter = new Counter({
    name: 'berth_notifications_dropped_total',
    help: 'Events that an endpoint will never be told, as too many waited.',
    labelNames: ['endpoint'],
    registers,
    collect() {
      dropped.reset();
      for (const { name: endpoint, dropped: count } of read()) dropped.inc({ endpoint }, count);
    },
  });
}
