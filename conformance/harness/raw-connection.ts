import { connect, type Socket } from 'node:net';

/** What came over a raw connection: one response, not interpreted more than its framing needs. */
export interface RawResponse {
  status: number;
  /** Lower-case names. */
  headers: ReadonlyMap<string, string>;
  body: Buffer;
}

/** A TCP connection for what an HTTP client cannot send or hides: pipelining, half requests, interim responses. */
export interface RawConnection {
  write(data: string | Uint8Array): void;
  /**
   * The next response on the connection, an interim one (1xx) included.
   *
   * @param method of its request; a response to HEAD has no body, whatever its headers say
   * @throws Error when the connection ends before it is whole, or nothing is sent or received for 20 s
   */
  response(method?: string): Promise<RawResponse>;
  /** Resolves when the server has closed the connection. */
  closed: Promise<void>;
  /** Bytes that arrived and belong to no response asked for yet. */
  rest(): Buffer;
  /** Drops the connection. */
  destroy(): void;
}

/** In milliseconds. */
const answerLimit = 20_000;

export async function rawConnection(host: string): Promise<RawConnection> {
  const socket = await open(host);
  socket.setTimeout(answerLimit, () => socket.destroy());
  let received: Buffer = Buffer.alloc(0);
  let ended = false;
  let wake = () => {};
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  const closed = new Promise<void>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('end', () => resolve());
  }).then(() => {
    ended = true;
    wake();
  });

  /** Waits until `length` answers; it is asked again whenever more has come. */
  async function take(length: () => number | undefined): Promise<Buffer> {
    for (;;) {
      const wanted = length();
      if (wanted !== undefined && received.length >= wanted) {
        const taken = received.subarray(0, wanted);
        received = received.subarray(wanted);
        return taken;
      }
      if (ended) throw new Error(`connection ended after ${JSON.stringify(received.toString().slice(0, 300))}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  const through = (mark: string) => () => {
    const at = received.indexOf(mark);
    return at < 0 ? undefined : at + mark.length;
  };

  async function readChunks(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt((await take(through('\r\n'))).toString(), 16);
      const chunk = await take(() => size + 2);
      if (size === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, size));
    }
  }

  return {
    write: (data) => void socket.write(data),
    async response(method = 'GET') {
      const head = (await take(through('\r\n\r\n'))).toString('latin1').split('\r\n');
      const status = Number(head[0]?.split(' ')[1]);
      const headers = new Map<string, string>();
      for (const line of head.slice(1)) {
        const colon = line.indexOf(':');
        if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
      const empty = method === 'HEAD' || status < 200 || status === 204 || status === 304;
      const length = headers.get('content-length');
      let body: Buffer = Buffer.alloc(0);
      if (!empty && headers.get('transfer-encoding') === 'chunked') body = await readChunks();
      else if (!empty && length !== undefined) body = await take(() => Number(length));
      else if (!empty) body = await closed.then(() => take(() => received.length));
      return { status, headers, body };
    },
    closed,
    rest: () => received,
    destroy: () => void socket.destroy(),
  };
}

function open(host: string): Promise<Socket> {
  const { hostname, port } = new URL(`http://${host}`);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once('error', reject);
  });
}
