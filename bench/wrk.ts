import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './children.ts';
import type { Work } from './load/jobs.ts';

/** What wrk tells at its end. */
interface Summary {
  requests: number;
  microseconds: number;
  /** Received, with heads. */
  bytes: number;
  /** Answers above 399, and broken or slow connections. */
  errors: { status: number; connect: number; read: number; write: number; timeout: number };
}

/** A script for wrk that sends GETs of the paths in turn and tells its results as JSON. */
export function wrkScript(paths: readonly string[], headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers["${name}"] = ${JSON.stringify(value)}`);
  return `${lines.join('\n')}
local requests, turn = {}, 0
function init()
  for i, path in ipairs({ ${paths.map((path) => JSON.stringify(path)).join(', ')} }) do
    requests[i] = wrk.format("GET", path)
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary)
  local e = summary.errors
  io.write(string.format('result {"requests":%d,"microseconds":%d,"bytes":%d,"errors":'
    .. '{"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}}\\n', summary.requests, summary.duration,
    summary.bytes, e.status, e.connect, e.read, e.write, e.timeout))
end
`;
}

/**
 * Reads what a run with {@link wrkScript} printed.
 *
 * @param smallest length of the shortest body, in bytes: fewer bytes than that per answer cannot be right
 * @throws Error when any answer was a fault
 */
export function parseWrk(output: string, smallest: number): Work {
  const text = /^result (\{.*\})$/m.exec(output)?.[1];
  if (text === undefined) throw new Error(`wrk tells no result:\n${output}`);
  const summary = JSON.parse(text) as Summary;
  const faults = Object.entries(summary.errors).filter(([, count]) => count > 0);
  if (faults.length > 0) {
    const list = faults.map(([kind, count]) => `${count} × ${kind}`).join(', ');
    throw new Error(`of ${summary.requests} requests by wrk failed: ${list}`);
  }
  if (summary.requests === 0) throw new Error('wrk got no answer at all');
  if (summary.bytes < summary.requests * smallest) {
    throw new Error(`wrk received ${summary.bytes} bytes in ${summary.requests} answers of at least ${smallest} bytes`);
  }
  const { requests } = summary;
  return { amount: requests, total: requests, seconds: summary.microseconds / 1e6, samples: [] };
}

export interface WrkOptions {
  url: string;
  paths: readonly string[];
  accept: string;
  authorization?: string | undefined;
  smallest: number;
  /** Whole seconds. */
  seconds: number;
  connections: number;
  /** For the script. */
  folder: string;
  signal: AbortSignal;
}

export async function runWrk(options: WrkOptions): Promise<Work> {
  const script = join(options.folder, 'wrk.lua');
  const { accept, authorization } = options;
  const headers = { Accept: accept, ...(authorization !== undefined && { Authorization: authorization }) };
  await writeFile(script, wrkScript(options.paths, headers));
  const args = [
    '-t1',
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    '--timeout',
    '30s',
    '-s',
    script,
    options.url,
  ];
  return parseWrk(await runProgram('wrk', args, { signal: options.signal }), options.smallest);
}
