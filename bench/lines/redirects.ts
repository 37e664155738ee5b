import { digestOf, pushBlob } from '../api.ts';
import { imageConfig } from '../image.ts';
import { runWrk } from '../wrk.ts';
import { connections } from './images.ts';
import { type Bench, eachOf, type Scenario } from './line.ts';

const repositories = 10;

/** Blobs for which clients are sent to the storage. Only the registry's answer is measured: the rest is the storage's. */
export function redirectScenario({ folder, signal }: Bench): Scenario {
  const blobs = Array.from({ length: 100 }, (_, index) => {
    const content = imageConfig(`redirect-${index}`, []);
    const repository = `team/app-${index % repositories}`;
    const digest = digestOf(content);
    return { content, repository, digest, path: `/v2/${repository}/blobs/${digest}` };
  });
  const paths = blobs.map(({ path }) => path);
  return {
    fresh: false,
    redirect: true,
    spacePerRound: 0,
    fill: ({ url }) =>
      eachOf(blobs.length, async (index) => {
        const blob = blobs[index];
        if (blob !== undefined) await pushBlob(url, blob.repository, blob.content, signal);
      }),
    lines: [
      {
        name: 'small blob GET, redirected',
        unit: 'ops/s',
        async check({ url }) {
          for (const { path, digest } of blobs) await expectRedirect(url + path, digest, signal);
          return undefined;
        },
        prepare: async ({ url }, { seconds }) => {
          return () => runWrk({ url, paths, accept: '*/*', smallest: 0, seconds, connections, folder, signal });
        },
      },
    ],
  };
}

/** Insists on being sent elsewhere, where the bytes are those that `digest` names. */
async function expectRedirect(url: string, digest: string, signal: AbortSignal): Promise<void> {
  const answer = await fetch(url, { redirect: 'manual', signal });
  await answer.arrayBuffer();
  const location = answer.headers.get('location');
  if (answer.status !== 307 || location === null) {
    throw new Error(`GET ${url} answers ${answer.status} with Location ${location} where 307 is due`);
  }
  const found = await fetch(location, { signal });
  const content = Buffer.from(await found.arrayBuffer());
  if (digestOf(content) !== digest) throw new Error(`GET ${location} answers ${found.status} and other bytes`);
}
