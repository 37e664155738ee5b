import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProgram } from './program.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-check-config-'));
  vi.spyOn(console, 'log').mockImplementation(() => {});
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function check(...lines: string[]): Promise<void> {
  const path = join(folder, 'config.yml');
  await writeFile(path, ['version: 0.1', 'storage: inmemory', ...lines, ''].join('\n'));
  await createProgram().parseAsync(['check-config', path], { from: 'user' });
}

test('a mirror that can be built is all right', async () => {
  await check('mirror:', '  upstreams: [{name: docker.io}]', '  schedule: [{cron: "@daily", images: [alpine]}]');
});

test.each([
  ['docker.io', 'BAD//x', 'BAD//x is not the name of an image, such as docker.io/library/alpine:3.20'],
  ['docker.io', 'quay.io/a', 'quay.io/a: quay.io is not among mirror.upstreams'],
  ['quay.io', 'alpine:~', 'alpine:~ names no registry, and docker.io is not among mirror.upstreams'],
])('with %s, an image %s of the schedule is said with its place', async (name, image, message) => {
  const checked = check(
    'mirror:',
    `  upstreams: [{name: ${name}}]`,
    '  schedule:',
    '    - cron: "@daily"',
    '      images:',
    `        - ${image}`,
  );
  await expect(checked).rejects.toThrow(`config.yml:8: mirror.schedule.0.images.0 ${message}`);
});

test('so is a platform', async () => {
  const checked = check(
    'mirror:',
    '  upstreams: [{name: docker.io}]',
    '  schedule: [{cron: "@daily", images: [a], platforms: [linux/arm64, amd64]}]',
  );
  const message = 'mirror.schedule.0.platforms.1 amd64 is no platform such as linux/amd64 or linux/arm/v7';
  await expect(checked).rejects.toThrow(`config.yml:5: ${message}`);
});

test.each([
  ['that is not there', undefined, 'is not there'],
  ['without a certificate', 'no certificate', 'cannot be read as a certificate in PEM'],
])('a ca %s is said with its place', async (_, content, message) => {
  const ca = join(folder, 'ca.pem');
  if (content !== undefined) await writeFile(ca, content);
  const checked = check('mirror:', '  upstreams:', '    - name: docker.io', '    - name: quay.io', `      ca: ${ca}`);
  await expect(checked).rejects.toThrow(`config.yml:7: mirror.upstreams.1.ca "${ca}" ${message}`);
});
