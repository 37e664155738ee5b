import { manifestType } from '../api.ts';
import { type Image, layerOf, makeImage } from '../image.ts';
import { Clock } from './clock.ts';
import { Connection } from './connection.ts';
import { Content } from './content.ts';
import type { HeadJob, ImagesJob, Job, ListsJob, PullJob, PushJob, Run } from './jobs.ts';
import { expectStatus, pushContent, pushSmallBlob, pushTaggedManifest } from './requests.ts';

/** Does everything of a job that is not to be measured. What it returns does the rest. */
export function prepare(job: Job): Run {
  switch (job.kind) {
    case 'head':
      return prepareHead(job);
    case 'pull':
      return preparePull(job);
    case 'lists':
      return prepareLists(job);
    case 'push':
      return preparePush(job);
    case 'images':
      return prepareImages(job);
  }
}

/** Lets `clients` do the same side by side, each on a connection of its own. Fails as soon as one fails. */
async function sideBySide(
  { port, clients }: Job,
  work: (connection: Connection, client: number) => Promise<void>,
  received?: (bytes: number) => void,
): Promise<void> {
  const connections = Array.from({ length: clients }, () => new Connection(port, received));
  try {
    await Promise.all(connections.map(work));
  } finally {
    for (const connection of connections) connection.close();
  }
}

function prepareHead(job: HeadJob): Run {
  const heads = job.paths.map((path) => `HEAD ${path} HTTP/1.1\r\nAccept: ${manifestType}\r\n`);
  return async () => {
    const clock = new Clock(job.seconds);
    let turn = 0;
    await sideBySide(job, async (connection) => {
      while (clock.running) {
        const head = heads[turn++ % heads.length] ?? '';
        expectStatus(await connection.request(head), 200, head);
        clock.count(1);
      }
    });
    return { ...clock.stop(), samples: [] };
  };
}

function preparePull(job: PullJob): Run {
  return async () => {
    const clock = new Clock(job.seconds);
    await sideBySide(
      job,
      async (connection) => {
        while (clock.running) {
          const answer = await connection.request(`GET ${job.path} HTTP/1.1\r\n`);
          expectStatus(answer, 200, `GET ${job.path}`);
          if (answer.size !== job.size)
            throw new Error(`GET ${job.path} answers ${answer.size} bytes, not ${job.size}`);
        }
      },
      (bytes) => clock.count(bytes),
    );
    return { ...clock.stop(), samples: [] };
  };
}

// Not on a Connection: answers of unknown length come in chunks.
function prepareLists(job: ListsJob): Run {
  return async () => {
    const clock = new Clock();
    const end = performance.now() + job.seconds * 1000;
    const walk = async () => {
      do {
        for (const path of job.paths) {
          const answer = await fetch(`http://127.0.0.1:${job.port}${path}`);
          const { byteLength } = await answer.arrayBuffer();
          if (answer.status !== 200 || byteLength < job.smallest) {
            throw new Error(`GET ${path} answers ${answer.status} with ${byteLength} bytes`);
          }
          clock.count(1);
        }
      } while (performance.now() < end);
    };
    await Promise.all(Array.from({ length: job.clients }, walk));
    return { ...clock.stop(), samples: [] };
  };
}

/** One of each size: making 256 MiB takes a second. */
const contents = new Map<number, Content>();

function contentOf(size: number): Content {
  const content = contents.get(size) ?? new Content(size);
  contents.set(size, content);
  return content;
}

function preparePush(job: PushJob): Run {
  const content = contentOf(job.size);
  const numbers = Array.from({ length: job.clients * job.blobsPerClient }, (_, index) => job.firstNumber + index);
  for (const number of numbers) content.digest(number);
  // The first use of the chunked form makes it.
  if (job.flow === 'POST+PATCH+PUT') content.chunked(0).next();
  return async () => {
    const clock = new Clock();
    const waiting = numbers.values();
    await sideBySide(job, async (connection) => {
      for (const number of waiting) {
        await pushContent(connection, job.repository, job.flow, content, number);
        clock.count(content.size);
      }
    });
    const last = content.digest(numbers.at(-1) ?? 0);
    return { ...clock.stop(), samples: [`/v2/${job.repository}/blobs/${last}`] };
  };
}

/** Of one layer of a small image, in bytes. */
const smallLayer = 32 << 10;

/** More than this many images in a second are not prepared; whoever takes them faster is simply done earlier. */
const imagesPerSecond = 1500;

interface SmallImage {
  number: number;
  image: Image;
}

/** The pool of the job before: the next registry gets the same images. */
let pool: { key: string; images: readonly SmallImage[] } = { key: '', images: [] };

function smallImages(firstNumber: number, count: number): readonly SmallImage[] {
  const key = `${firstNumber} ${count}`;
  if (pool.key !== key) {
    const content = contentOf(smallLayer);
    const images = Array.from({ length: count }, (_, index) => {
      const number = firstNumber + 2 * index;
      const layers = [number, number + 1].map((layer) => layerOf(content.digest(layer), content.size));
      return { number, image: makeImage(String(number), layers) };
    });
    pool = { key, images };
  }
  return pool.images;
}

function prepareImages(job: ImagesJob): Run {
  const content = contentOf(smallLayer);
  const images = smallImages(job.firstNumber, job.images ?? Math.ceil(job.seconds * imagesPerSecond));
  return async () => {
    const clock = new Clock(job.images === undefined ? job.seconds : undefined);
    const waiting = images.values();
    let samples: string[] = [];
    await sideBySide(job, async (connection, client) => {
      const repository = `push/client-${client}`;
      while (clock.running) {
        const next = waiting.next();
        if (next.done) break;
        const { number, image } = next.value;
        for (const layer of [number, number + 1]) {
          await pushSmallBlob(connection, repository, content.digest(layer), [...content.plain(layer)]);
        }
        await pushSmallBlob(connection, repository, image.configDigest, [image.config]);
        await pushTaggedManifest(connection, repository, `build-${number}`, image.manifest, image.manifestDigest);
        clock.count(1);
        const blobs = [content.digest(number), image.configDigest].map((digest) => `blobs/${digest}`);
        samples = [...blobs, `manifests/${image.manifestDigest}`].map((path) => `/v2/${repository}/${path}`);
      }
    });
    return { ...clock.stop(), samples };
  };
}
