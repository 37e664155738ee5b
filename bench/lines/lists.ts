import { digestOf, listOf, pushBlob, pushManifest } from '../api.ts';
import { makeImage } from '../image.ts';
import type { Run } from '../load/jobs.ts';
import type { Server } from '../server.ts';
import { runWrk } from '../wrk.ts';
import { connections } from './images.ts';
import { type Bench, eachOf, type Line, requireSame, type Scenario, type Turn } from './line.ts';
import { linksOf } from './links.ts';

const pageSize = 100;

/** The shortest list that can be right, in bytes: every name with quotes and comma. */
function smallestBody(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + name.length + 3, 0);
}

interface Page {
  path: string;
  names: readonly string[];
}

/** All pages of a list, with the names that are due on each. `names` must be sorted. */
function pagesOf(list: string, names: readonly string[]): Page[] {
  return Array.from({ length: Math.ceil(names.length / pageSize) }, (_, page) => {
    const after = names[page * pageSize - 1];
    const last = after === undefined ? '' : `&last=${encodeURIComponent(after)}`;
    return {
      path: `${list}?n=${pageSize}${last}`,
      names: names.slice(page * pageSize, (page + 1) * pageSize),
    };
  });
}

/**
 * Who reads the pages. `wrk`: sixteen connections that are stopped when the time is up. Walkers always go through to the
 * last page: for where a page may take seconds, and the last one longer than the first.
 */
export type Readers = 'wrk' | { walkers: number };

function nameOf(list: string, readers: Readers): string {
  if (readers === 'wrk') return list;
  return `${list}, ${readers.walkers} client${readers.walkers > 1 ? 's' : ''}`;
}

function prepareReaders(
  { load, folder, signal }: Bench,
  readers: Readers,
  { url, port }: Server,
  { seconds, warmUp }: Turn,
  list: { paths: readonly string[]; smallest: number },
): Promise<Run> {
  if (readers === 'wrk') {
    const run = () => runWrk({ url, ...list, accept: '*/*', seconds, connections, folder, signal });
    return Promise.resolve(run);
  }
  const paths = warmUp ? list.paths.slice(0, 1) : list.paths;
  return load.prepare({ kind: 'lists', port, clients: readers.walkers, ...list, paths, seconds }, signal);
}

/** Every page in turn, the first and the last alike. */
export function catalogueScenario(bench: Bench, readers: Readers): Scenario {
  const { sizes, signal } = bench;
  // Names as they are in use: fifty to a group.
  const names = Array.from({ length: sizes.repositories }, (_, index) => {
    return `group-${String(Math.floor(index / 50)).padStart(3, '0')}/app-${String(index % 50).padStart(2, '0')}`;
  }).sort();
  const pages = pagesOf('/v2/_catalog', names);
  const paths = pages.map((page) => page.path);
  const smallest = Math.min(...pages.map((page) => smallestBody(page.names)));
  return {
    fresh: false,
    spacePerRound: 0,
    async fill({ url }, { put }) {
      const images = names.map((name) => ({ name, ...makeImage(name, []) }));
      if (put !== undefined) {
        const links = images.map((image) => linksOf(image.name, 'latest', image.manifestDigest, image.configDigest));
        return put(links.flat(), signal);
      }
      await eachOf(images.length, async (index) => {
        const image = images[index];
        if (image === undefined) return;
        await pushBlob(url, image.name, image.config, signal);
        await pushManifest(url, image.name, 'latest', image.manifest, signal);
      });
    },
    lines: [
      {
        name: nameOf(`catalogue page, n=${pageSize} of ${sizes.repositories} repositories`, readers),
        unit: 'ops/s',
        aim: { ratio: 5 },
        async check({ url }) {
          for (const page of pages)
            requireSame(page.path, await listOf(url + page.path, 'repositories', signal), page.names);
          return undefined;
        },
        prepare: (server, turn) => prepareReaders(bench, readers, server, turn, { paths, smallest }),
      },
    ],
  };
}

/** One repository with very many tags, each a manifest of its own. */
export function tagScenario(bench: Bench, readers: Readers): Scenario {
  const { sizes, signal } = bench;
  const repository = 'team/many-tags';
  const list = `/v2/${repository}/tags/list`;
  const names = Array.from({ length: sizes.tags }, (_, index) => `build-${String(index).padStart(6, '0')}`);
  const pages = pagesOf(list, names);

  function line(name: string, paths: readonly string[], smallest: number, rest: Pick<Line, 'aim' | 'check'>): Line {
    return {
      name: nameOf(name, readers),
      unit: 'ops/s',
      ...rest,
      prepare: (server, turn) => prepareReaders(bench, readers, server, turn, { paths, smallest }),
    };
  }

  return {
    fresh: false,
    spacePerRound: 0,
    async fill({ url }, { put }) {
      const { config, configDigest, manifest } = makeImage('tags', []);
      const tagged = names.map((tag) => {
        const content = { ...JSON.parse(manifest.toString()), annotations: { 'bench.tag': tag } };
        return { tag, manifest: Buffer.from(JSON.stringify(content)) };
      });
      if (put !== undefined) {
        const links = tagged.map((image) => linksOf(repository, image.tag, digestOf(image.manifest), configDigest));
        return put(links.flat(), signal);
      }
      await pushBlob(url, repository, config, signal);
      await eachOf(tagged.length, async (index) => {
        const image = tagged[index];
        if (image !== undefined) await pushManifest(url, repository, image.tag, image.manifest, signal);
      });
    },
    lines: [
      line(
        `tag page, n=${pageSize} of ${sizes.tags} tags`,
        pages.map((page) => page.path),
        Math.min(...pages.map((page) => smallestBody(page.names))),
        {
          aim: { ratio: 5 },
          async check({ url }) {
            let ignored = 0;
            for (const page of pages) {
              const found = await listOf(url + page.path, 'tags', signal);
              if (found.length > pageSize && found.length === names.length) ignored++;
              else requireSame(page.path, found, page.names);
            }
            if (ignored === 0) return undefined;
            if (ignored < pages.length) throw new Error(`${ignored} of ${pages.length} tag pages hold all tags`);
            return `knows no tag pages: sends all ${names.length} tags whatever n says`;
          },
        },
      ),
      line(`full list of ${sizes.tags} tags`, [list], smallestBody(names), {
        async check({ url }) {
          requireSame(list, (await listOf(url + list, 'tags', signal)).sort(), names);
          return undefined;
        },
      }),
    ],
  };
}
