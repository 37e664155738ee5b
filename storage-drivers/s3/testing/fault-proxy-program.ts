/**
 * The fault proxy as a program, for those who test from outside: `fault-proxy-program.js <endpoint> [port]`. It prints
 * its endpoint, then answers each line of its input with one line:
 *
 *     {"inject":<FaultRule>}   adds a rule
 *     {"clear":true}           takes all rules back
 *     {"count":true}           says how many requests have come, by the kind of fault that they met
 *
 * and ends with its input.
 */
import { createInterface } from 'node:readline';
import { type FaultRule, startFaultProxy } from './fault-proxy.ts';

interface Order {
  readonly inject?: FaultRule;
  readonly clear?: boolean;
  readonly count?: boolean;
}

const [endpoint = '', port = '0'] = process.argv.slice(2);
const proxy = await startFaultProxy({ endpoint, port: Number(port) });
const counts: Record<string, number> = {};

function count(): Record<string, number> {
  for (const { fault } of proxy.requests) {
    const kind = fault?.kind ?? 'none';
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  proxy.forget();
  return counts;
}

console.log(JSON.stringify(proxy.endpoint));
for await (const line of createInterface({ input: process.stdin })) {
  const { inject, clear } = JSON.parse(line) as Order;
  if (inject !== undefined) proxy.inject(inject);
  if (clear === true) proxy.clear();
  console.log(JSON.stringify(count()));
}
await proxy.close();
