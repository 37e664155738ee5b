import { expect, test } from 'vitest';
import { fileWith, loadText } from '../config/testing/load-text.ts';
import { Names } from '../mirror/naming.ts';
import { parseImage } from '../mirror/sync/image-list.ts';
import { openUpstreams } from './upstreams.ts';

async function namesIn(remoteurl: string) {
  const { config } = await loadText(fileWith(`proxy: {remoteurl: "${remoteurl}"}`));
  return new Names(openUpstreams(config, { userAgent: 'berth/test', happened: () => {} }));
}

test.each([
  'alpine',
  'library/alpine',
  'docker.io/library/alpine',
  'index.docker.io/alpine',
  'registry-1.docker.io/alpine',
])('behind a proxy of Docker Hub, %s is an image of it', async (image) => {
  const { mirrored } = parseImage(image, await namesIn('https://registry-1.docker.io'));
  expect([mirrored.upstream.name, mirrored.local]).toEqual(['docker.io', 'library/alpine']);
});

test('behind a proxy of another registry, one of Docker Hub is none', async () => {
  const names = await namesIn('https://registry.example');
  expect(() => parseImage('index.docker.io/library/alpine', names)).toThrow('index.docker.io is not among');
  expect(parseImage('registry.example/team/app', names).mirrored.local).toBe('team/app');
});
