import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atExit } from '../harness/at-exit.ts';
import { createHttpClient } from '../harness/http-client.ts';
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
  await writeFile(config, configuration(folder.path, listen, hosts));

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

/** As operators write it for a registry, but for one worker and no keep-alive behind it, so that turns are strict. */
function configuration(folder: string, listen: string, hosts: readonly string[]): string {
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
  upstream replicas {
${hosts.map((host) => `    server ${host} max_fails=1 fail_timeout=1s;`).join('\n')}
  }
  server {
    listen ${listen};
    client_max_body_size 0;
    # Tokens of some identity providers are long.
    large_client_header_buffers 8 64k;
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_connect_timeout 5s;
      proxy_read_timeout 300s;
      proxy_send_timeout 300s;
      # The other one is asked where asking twice does no harm: any method but POST and PATCH, or nothing was sent yet.
      proxy_next_upstream error timeout;
      # The PUT that ends an upload may have bytes, which would be appended twice. Its client tries again.
      location ~ /blobs/uploads/ {
        proxy_pass http://replicas;
        proxy_next_upstream off;
      }
    }
  }
}
`;
}
