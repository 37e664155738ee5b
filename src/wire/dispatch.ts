import type { Dispatcher } from 'undici';
import { Body } from './body.ts';
import { NoConnectionError } from './connections.ts';
import type { Answer } from './messages.ts';

/**
 * Sends by undici what {@link Connections} cannot: what has a body, or goes through a proxy. Below what undici calls
 * `request`, as streams of Node would cost more than everything else that is done to a byte.
 *
 * Resolves when the answer begins, whatever its status is; follows nothing.
 *
 * @throws NoConnectionError when `signal` ended the wait for a connection, else its reason, which also ends the body as long
 *   as it comes; what undici failed with
 */
export function dispatch(
  agent: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let body: Body | undefined;
    let controller: Dispatcher.DispatchController | undefined;
    const abort = () => {
      if (body !== undefined) return body.destroy(signal?.reason);
      // One that waits for a connection is ended when it gets one.
      if (controller === undefined) return reject(new NoConnectionError('aborted while it waited'));
      controller.abort(signal?.reason);
      reject(signal?.reason);
    };
    const settle = () => signal?.removeEventListener('abort', abort);
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    agent.dispatch(options, {
      onRequestStart(started) {
        controller = started;
        if (signal?.aborted) started.abort(signal.reason);
      },
      onResponseStart(started, status, given) {
        if (status < 200) return;
        const headers = flattened(given);
        const { 'content-length': length } = headers;
        body = new Body(started, length === undefined ? undefined : Number(length));
        resolve({ status, headers, body });
      },
      onResponseData(started, chunk) {
        if (body?.push(chunk) === false) started.pause();
      },
      onResponseEnd() {
        settle();
        body?.end();
      },
      onResponseError(_, error) {
        settle();
        if (body === undefined) reject(error);
        else body.end(error);
      },
    });
  });
}

function flattened(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) flat[name] = String(value);
  return flat;
}
