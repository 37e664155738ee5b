import { expect, test } from 'vitest';
import { createDriver } from '../../storage-drivers/index.ts';
import { fileWith, loadText } from '../config/testing/load-text.ts';
import { createLog } from '../observe/log.ts';
import type { Registry } from '../registry/registry.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import { type OpenMirror, openMirror } from './open-mirror.ts';

const log = createLog({ level: 'error', formatter: 'text', accessLog: false });

/** Opens what a file asks for. */
async function opened(text: string, use: (mirror: OpenMirror, hosted: Registry) => unknown): Promise<void> {
  const { config } = await loadText(text);
  const driver = createDriver('inmemory', {});
  const registry = createStorageRegistry({ driver });
  const mirror = openMirror(config, { hosted: registry, store: registry, driver, log, userAgent: 'berth/test' });
  await use(mirror, registry);
  await mirror.close();
}

test.each([
  ['https://registry-1.docker.io', 'docker.io'],
  ['https://registry.example:5000/', 'registry.example:5000'],
])('a proxy of %s calls it %s', async (remoteurl, name) => {
  await opened(fileWith(`proxy: {remoteurl: "${remoteurl}"}`), ({ report }) => {
    expect(report?.().upstreams.map((upstream) => upstream.name)).toEqual([name]);
  });
});

test.each([
  ['mirrors nothing', fileWith('')],
  ['has a proxy of nothing', fileWith('proxy: {ttl: 1h}')],
])('a registry that %s is itself', async (_, text) => {
  await opened(text, ({ report, registry }, hosted) => expect([report, registry]).toEqual([undefined, hosted]));
});
