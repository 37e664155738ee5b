import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Daemon, startDaemon } from './daemon.ts';

export interface Containerd extends Daemon {
  /** The path of its socket. */
  readonly address: string;
}

/** Starts a containerd of its own with everything it keeps below `folder`. */
export async function startContainerd(folder: string): Promise<Containerd> {
  const [containerd, ctr] = [requireTool('containerd'), requireTool('ctr')];
  const address = join(folder, 'containerd.sock');
  const config = join(folder, 'containerd.toml');
  await mkdir(folder, { recursive: true });
  await writeFile(
    config,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${address}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
`,
  );
  const daemon = await startDaemon(containerd, ['--config', config], async () => {
    const { code } = await run(ctr, ['--address', address, 'version']);
    return code === 0;
  });
  return { ...daemon, address };
}
