import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Connection, headerOf } from './connection.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function portOf(server: Server | ReturnType<typeof createSocketServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function connectTo(listener: RequestListener, received?: (bytes: number) => void): Promise<Connection> {
  const connection = new Connection(await portOf(createServer(listener)), received);
  cleanups.push(() => connection.close());
  return connection;
}

/** A server that answers every connection with fixed bytes, in the given pieces. */
async function connectToPieces(pieces: readonly string[]): Promise<Connection> {
  const server = createSocketServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.once('data', async () => {
      for (const piece of pieces) {
        await new Promise((resolve) => socket.write(piece, resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  });
  const connection = new Connection(await portOf(server));
  cleanups.push(() => connection.close());
  return connection;
}

describe('connection', () => {
  it('sends requests one after the other and counts the bodies', async () => {
    let bytes = 0;
    const connection = await connectTo(
      (request, response) => {
        const body = Buffer.alloc(request.url === '/large' ? 3_000_000 : 5);
        response.writeHead(200, { 'content-length': body.length, 'X-Url': request.url }).end(body);
      },
      (length) => {
        bytes += length;
      },
    );
    for (const url of ['/small', '/large', '/small']) {
      const answer = await connection.request(`GET ${url} HTTP/1.1\r\n`);
      expect([answer.status, headerOf(answer.head, 'x-url')]).toEqual([200, url]);
    }
    expect(bytes).toBe(3_000_010);
  });

  it('expects no body of an answer to HEAD', async () => {
    const connection = await connectTo((_, response) => response.writeHead(200, { 'content-length': 1000 }).end());
    for (let turn = 0; turn < 3; turn++) {
      expect((await connection.request('HEAD / HTTP/1.1\r\n')).status).toBe(200);
    }
  });

  it('sends a body of several pieces', async () => {
    const connection = await connectTo(async (request, response) => {
      let size = 0;
      for await (const chunk of request) size += chunk.length;
      response.writeHead(201, { 'content-length': 0, 'x-size': size }).end();
    });
    const body = [Buffer.alloc(1_000_000), Buffer.alloc(2_000_000)];
    const answer = await connection.request('PUT / HTTP/1.1\r\nContent-Length: 3000000\r\n', body);
    expect([answer.status, headerOf(answer.head, 'x-size')]).toEqual([201, '3000000']);
  });

  it('puts together a head that arrives in pieces', async () => {
    const connection = await connectToPieces(['HTTP/1.1 20', '2 Accepted\r\nContent-Le', 'ngth: 3\r\n\r', '\nab', 'c']);
    const answer = await connection.request('GET / HTTP/1.1\r\n');
    expect([answer.status, answer.size]).toEqual([202, 3]);
  });

  it('gives the refusal of a body that was not read to its end', async () => {
    const connection = await connectToPieces(['HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n']);
    function* endless() {
      for (;;) yield Buffer.alloc(1 << 16);
    }
    expect((await connection.request('PUT / HTTP/1.1\r\n', endless())).status).toBe(413);
  });

  it('fails when the answer is longer than it says', async () => {
    const connection = await connectToPieces(['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd']);
    await expect(connection.request('GET / HTTP/1.1\r\n')).rejects.toThrow('longer than it says');
  });

  it('fails when the registry closes in the middle', async () => {
    const connection = await connectTo((request) => request.socket.destroy());
    await expect(connection.request('GET / HTTP/1.1\r\n')).rejects.toThrow('closed');
  });

  it('fails when nobody listens', async () => {
    const connection = new Connection(1);
    await expect(connection.request('GET / HTTP/1.1\r\n')).rejects.toThrow('ECONNREFUSED');
  });
});
