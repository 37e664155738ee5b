import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { describeMachine, fileSystemOf, freeSpace } from './describe.ts';

const mounts = [
  'rootfs / rootfs rw 0 0',
  '/dev/vda / ext4 rw,relatime 0 0',
  'tmpfs /tmp tmpfs rw 0 0',
  '/dev/vdb /my\\040data xfs rw 0 0',
  '',
].join('\n');

describe('machine', () => {
  it.each([
    ['/var/lib', 'ext4 on /dev/vda (rw,relatime)'],
    ['/tmp/x', 'tmpfs on tmpfs (rw)'],
    ['/tmp', 'tmpfs on tmpfs (rw)'],
    ['/tmpx', 'ext4 on /dev/vda (rw,relatime)'],
    ['/my data/y', 'xfs on /dev/vdb (rw)'],
  ])('finds the file system of %s', (folder, expected) => {
    expect(fileSystemOf(folder, mounts)).toBe(expected);
  });

  it('describes this machine', async () => {
    const machine = await describeMachine(tmpdir());
    expect(machine.cores).toBeGreaterThan(0);
    expect(machine.fileSystem).not.toBe('unknown');
    expect(await freeSpace(tmpdir())).toBeGreaterThan(0);
  });
});
