import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atExit } from '../harness/at-exit.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { projectRoot } from '../harness/project-root.ts';
import { requireTool } from '../harness/require-tool.ts';
import { freePort } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

/** An nginx in front of several servers. */
export interface Balancer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** What nginx has complained of. */
  logs(): string;
  stop(): Promise<void>;
}

/** In milliseconds. */
const startLimit = 20_000;

/** Starts nginx, which gives each request to the next one of `hosts`. @param hosts `127.0.0.1:<port>` each */
export async function startBalancer(hosts: readonly string[]): Promise<Balancer> {
  const nginx = requireTool('nginx');
  const folder = await temporaryFolder('berth-nginx-');
  const listen = `127.0.0.1:${await freePort()}`;
  const config = join(folder.path, 'nginx.conf');
  await writeFile(config, await configuration(folder.path, listen, hosts));

  const child = spawn(nginx, ['-c', config, '-p', folder.path, '-e', join(folder.path, 'error.log')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // SIGTERM, so that its workers go with it.
  const forget = atExit(() => child.kill('SIGTERM'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  let ended = false;
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      resolve();
    });
    child.once('close', () => resolve());
  }).then(() => {
    ended = true;
    forget();
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
    await folder.remove();
  };

  const url = `http://${listen}`;
  const client = createHttpClient(url);
  const deadline = Date.now() + startLimit;
  while (
    !(await client.request('GET', '/v2/').then(
      ({ status }) => status === 200,
      () => false,
    ))
  ) {
    if (ended || Date.now() > deadline) {
      await stop();
      throw new Error(`nginx ${ended ? 'ended' : 'does not answer'}:\n${output}`);
    }
    await delay(50);
  }
  client.close();
  return { url, logs: () => output, stop };
}

/** What is deployed (`deploy/nginx/berth.conf`), with other addresses, in a file that nginx can run from a folder. */
async function configuration(folder: string, listen: string, hosts: readonly string[]): Promise<string> {
  const deployed = await readFile(join(projectRoot(), 'deploy/nginx/berth.conf'), 'utf8');
  const servers = hosts.map((host) => `  server ${host} max_fails=1 fail_timeout=1s;`).join('\n');
  const ours = deployed
    .replace(/(^ *server registry-\d.*;\n)+/m, `${servers}\n`)
    .replace(/^ *listen 80;$/m, `  listen ${listen};`);
  if (!ours.includes(servers) || !ours.includes(listen)) throw new Error('deploy/nginx/berth.conf is not as expected');
  // One worker, so that turns are strict.
  return `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
${ours}
}
`;
}
