import { manifestType } from '../api.ts';
import { Connection } from '../load/connection.ts';
import { expectStatus } from '../load/requests.ts';

/** An image as a client pulls it. */
export interface Pull {
  readonly repository: string;
  readonly tag: string;
  /** Its configuration and its layers. */
  readonly blobs: readonly { readonly digest: string; readonly size: number }[];
}

/** How many blobs a client fetches at once, as Docker and containerd do. */
const side = 3;

/** Pulls an image and throws it away. @throws Error when an answer is none, or has another length than it should */
export async function pullImage(port: number, { repository, tag, blobs }: Pull): Promise<void> {
  const connections = Array.from({ length: side }, () => new Connection(port));
  try {
    const manifest = `GET /v2/${repository}/manifests/${tag}`;
    const [first] = connections;
    if (first === undefined) return;
    expectStatus(await first.request(`${manifest} HTTP/1.1\r\nAccept: ${manifestType}\r\n`), 200, manifest);
    const waiting = [...blobs];
    const work = async (connection: Connection) => {
      for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) {
        const request = `GET /v2/${repository}/blobs/${blob.digest}`;
        const { size } = expectStatus(await connection.request(`${request} HTTP/1.1\r\n`), 200, request);
        if (size !== blob.size) throw new Error(`${request} has ${size} bytes in place of ${blob.size}`);
      }
    };
    await Promise.all(connections.map(work));
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Some clients at once. @returns how long it takes until the last one is done, in seconds */
export async function pullBy(clients: number, port: number, pull: Pull): Promise<number> {
  const begun = performance.now();
  await Promise.all(Array.from({ length: clients }, () => pullImage(port, pull)));
  return (performance.now() - begun) / 1000;
}
