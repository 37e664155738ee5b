import { expectContent, expectHead, manifestType, pushBlob, pushManifest } from '../api.ts';
import { layerOf, makeImage } from '../image.ts';
import { Content } from '../load/content.ts';
import type { Server } from '../server.ts';
import { runWrk } from '../wrk.ts';
import { type Bench, eachOf, type Line, type Scenario } from './line.ts';

/** As many connections as wrk and the HEAD generator keep busy. */
export const connections = 16;

const repositories = 10;
const tagsPerRepository = 10;
const layersPerImage = 8;

/** Reading manifests and configurations: 100 images in turn, so that no registry lives off a single one. */
export function imageScenario({ load, folder, signal }: Bench): Scenario {
  const content = new Content(32 << 10);
  const layers = Array.from({ length: layersPerImage }, (_, number) => layerOf(content.digest(number), content.size));
  const images = Array.from({ length: repositories * tagsPerRepository }, (_, index) => ({
    ...makeImage(`read-${index}`, layers),
    repository: `team/app-${index % repositories}`,
    tag: `v1.${index}`,
  }));
  const byTag = images.map((image) => `/v2/${image.repository}/manifests/${image.tag}`);
  const byDigest = images.map((image) => `/v2/${image.repository}/manifests/${image.manifestDigest}`);
  const configs = images.map((image) => `/v2/${image.repository}/blobs/${image.configDigest}`);
  const smallestManifest = Math.min(...images.map((image) => image.manifest.length));

  function getLine(name: string, ratio: number, paths: readonly string[], what: 'manifest' | 'config'): Line {
    const smallest = what === 'manifest' ? smallestManifest : 2048;
    const accept = what === 'manifest' ? manifestType : '*/*';
    return {
      name,
      unit: 'ops/s',
      aim: { ratio },
      async check(server) {
        for (const [index, path] of paths.entries()) {
          const image = images[index];
          const digest = what === 'manifest' ? image?.manifestDigest : image?.configDigest;
          await expectContent(server.url + path, digest ?? '', signal);
        }
        return undefined;
      },
      prepare: async ({ url }, { seconds }) => {
        return () => runWrk({ url, paths, accept, smallest, seconds, connections, folder, signal });
      },
    };
  }

  const headLine: Line = {
    name: 'manifest HEAD by tag',
    unit: 'ops/s',
    aim: { ratio: 4 },
    async check(server) {
      for (const [index, path] of byTag.entries()) {
        const image = images[index];
        await expectHead(server.url + path, image?.manifestDigest ?? '', image?.manifest.length ?? 0, signal);
      }
      return undefined;
    },
    prepare: ({ port }, { seconds }) =>
      load.prepare({ kind: 'head', port, clients: connections, paths: byTag, seconds }, signal),
  };

  return {
    fresh: false,
    spacePerRound: 0,
    async fill({ url }: Server) {
      await eachOf(repositories, async (index) => {
        for (let number = 0; number < layersPerImage; number++) {
          await pushBlob(url, `team/app-${index}`, Buffer.concat([...content.plain(number)]), signal);
        }
      });
      await eachOf(images.length, async (index) => {
        const image = images[index];
        if (image === undefined) return;
        await pushBlob(url, image.repository, image.config, signal);
        await pushManifest(url, image.repository, image.tag, image.manifest, signal);
      });
    },
    lines: [
      getLine('manifest GET by tag', 4, byTag, 'manifest'),
      headLine,
      getLine('manifest GET by digest', 4, byDigest, 'manifest'),
      getLine('small blob GET (2 KiB)', 6, configs, 'config'),
    ],
  };
}
