import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { blob, mediaTypes } from '../harness/content.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type Artifact, imageOf } from './raw/artifact.ts';

/** An image that runs: busybox alone, which prints `text`. */
export async function busyboxImage(text: string, architecture = 'amd64'): Promise<Artifact> {
  const folder = await temporaryFolder('berth-busybox-');
  await mkdir(join(folder.path, 'root', 'bin'), { recursive: true });
  await copyFile(requireTool('busybox'), join(folder.path, 'root', 'bin', 'busybox'));
  await writeFile(join(folder.path, 'root', 'text'), text);
  const archive = join(folder.path, 'layer.tar');
  const { code, stderr } = await run('tar', [
    '--create',
    '--file',
    archive,
    '--directory',
    join(folder.path, 'root'),
    '.',
  ]);
  if (code !== 0) throw new Error(`tar: ${stderr}`);
  const plain = blob(await readFile(archive));
  await folder.remove();
  return imageOf([blob(gzipSync(plain.bytes), `${mediaTypes.layer}+gzip`)], {
    architecture,
    command: ['/bin/busybox', 'cat', '/text'],
    diffIds: [plain.digest],
  });
}
