import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireTool } from '../harness/require-tool.ts';
import { type RunResult, run } from '../harness/run.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { startContainerd } from './containerd-daemon.ts';
import { startDaemon, unmountBelow } from './daemon.ts';

/** The distribution's own client first: a newer one elsewhere in the path may not fit the daemon. */
const packagedClient = '/usr/bin/docker';

export interface Docker {
  /** The client, speaking to this daemon. */
  readonly docker: Command;
  /** The same with BuildKit as the builder; its progress goes to the standard output. */
  readonly buildkit: Command;
  /** The client with something on its standard input; any exit code is a result. */
  run(args: readonly string[], input?: string): Promise<RunResult>;
  /** Where the client keeps its logins. */
  readonly configFile: string;
  stop(): Promise<void>;
}

/**
 * Starts a Docker daemon of its own, with its own containerd and no network, and a client with no configuration.
 * Needs root.
 *
 * @param mirror of Docker Hub, which is not reached from here
 * @param config the daemon.json, in place of what says that registries on this machine speak without TLS
 */
export async function startDocker({ mirror, config }: { mirror?: string; config?: string } = {}): Promise<Docker> {
  const client = existsSync(packagedClient) ? packagedClient : requireTool('docker');
  const dockerd = requireTool('dockerd');
  const folder = await temporaryFolder('berth-docker-');
  const at = (name: string) => join(folder.path, name);
  // An empty file of its own: the machine's /etc/docker/daemon.json is somebody else's.
  await writeFile(at('daemon.json'), config ?? '{"insecure-registries": ["127.0.0.0/8"]}');
  await mkdir(at('client'));
  const env = { DOCKER_HOST: `unix://${at('docker.sock')}`, DOCKER_CONFIG: at('client'), DOCKER_CONTEXT: undefined };

  const containerd = await startContainerd(at('containerd'));
  async function leave(): Promise<void> {
    await containerd.stop();
    await unmountBelow(folder.path);
    await folder.remove();
  }
  const options = [
    ['--config-file', at('daemon.json')],
    ['--data-root', at('data')],
    ['--exec-root', at('exec')],
    ['--pidfile', at('dockerd.pid')],
    ['--host', env.DOCKER_HOST],
    ['--containerd', containerd.address],
    ...(mirror === undefined ? [] : [['--registry-mirror', mirror]]),
    ['--iptables=false', '--ip6tables=false', '--bridge=none'],
    // runc makes its cgroups itself: no systemd needed.
    ['--exec-opt', 'native.cgroupdriver=cgroupfs'],
  ];
  const daemon = await startDaemon(dockerd, options.flat(), async () => {
    const { code } = await run(client, ['version'], { env });
    return code === 0;
  }).catch(async (error: unknown) => {
    await leave();
    throw error;
  });

  return {
    docker: createCommand(client, [], { env: { ...env, DOCKER_BUILDKIT: '0' } }),
    buildkit: createCommand('/bin/sh', ['-c', '"$0" "$@" 2>&1', client], {
      env: { ...env, DOCKER_BUILDKIT: '1', BUILDKIT_PROGRESS: 'plain' },
    }),
    run: (args, input) => run(client, args, { env, ...(input !== undefined && { input }) }),
    configFile: join(at('client'), 'config.json'),
    async stop() {
      await daemon.stop();
      await leave();
    },
  };
}
