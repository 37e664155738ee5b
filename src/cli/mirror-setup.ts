import { dirname } from 'node:path';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { parseAddress } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { buildkitSetup } from './client-setup/buildkit.ts';
import { containerdSetup } from './client-setup/containerd.ts';
import { dockerSetup } from './client-setup/docker.ts';
import { k3sSetup } from './client-setup/k3s.ts';
import { podmanSetup } from './client-setup/podman.ts';
import { locationOf, type Setup, type Site } from './client-setup/setup.ts';
import { CommandError } from './command-error.ts';
import { configureMirror } from './configure-mirror.ts';

const clients = {
  docker: dockerSetup,
  containerd: containerdSetup,
  podman: podmanSetup,
  buildkit: buildkitSetup,
  k3s: k3sSetup,
} satisfies Record<string, (site: Site) => Setup>;

/** These put their own path before the names, and so cannot ask a server that serves below one. */
const atTheTop: readonly string[] = ['podman', 'buildkit'];

interface SetupOptions {
  url?: URL;
  ca?: string;
  shell?: boolean;
  config?: string;
}

export function addMirrorSetup(mirror: Command): void {
  mirror
    .command('setup')
    .addArgument(new Argument('<client>', 'whose configuration').choices(Object.keys(clients)))
    .summary('print how a client is told to ask this server')
    .description(
      'Prints the files that make a client ask this server for the images of its upstreams, and where they belong. Changes nothing.',
    )
    .option('-u, --url <url>', 'where clients reach this server, e.g. http://mirror:5000', parseUrl)
    .option('--ca <path>', 'where a client has the authority (PEM) of the certificate of this server')
    .option('-s, --shell', 'print a script that writes the files, for a shell of root on the client')
    .option('-c, --config <file>', 'the configuration file')
    .action(async (client: keyof typeof clients, options: SetupOptions) => {
      const { config, upstreams } = await configureMirror(options.config);
      const site: Site = {
        url: options.url ?? urlOf(config),
        upstreams,
        ca: options.ca,
        asksForLogin: config.auth !== undefined && config.auth.none === undefined,
      };
      if (site.ca !== undefined && site.url.protocol === 'http:') throw new CommandError('--ca needs https in --url');
      if (site.url.pathname !== '/' && atTheTop.includes(client))
        throw new CommandError(`${client} cannot ask a server below a path (${site.url.pathname})`);
      const setup = clients[client](site);
      const notes = [...setup.notes, byName(site)];
      if (options.shell === true) printScript(setup, notes);
      else print(setup, notes);
    });
}

/** @throws CommandError when the configuration does not say by which address clients reach it */
function urlOf({ http }: Config): URL {
  if (http.host !== undefined) return new URL(http.host);
  const { host, port = 0 } = (http.net === 'tcp' ? parseAddress(http.addr) : undefined) ?? {};
  if (host === undefined || /^(?:0\.0\.0\.0|::)$/.test(host) || port === 0) {
    throw new CommandError(
      'the configuration does not say by which address clients reach this server: give --url, such as http://mirror:5000, or set http.host',
    );
  }
  const scheme = http.tls.certificate === undefined ? 'http' : 'https';
  return new URL(http.prefix, `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

function byName(site: Site): string {
  const names = site.upstreams.map((upstream) => `${locationOf(site, upstream)}/…`);
  return `Without any configuration, for every client (crane, skopeo, oras, …), by name: ${names.join(', ')}`;
}

/** What takes remarks has them; the rest goes to standard error, so that standard output is the file. */
function print({ files, remarks }: Setup, notes: readonly string[]): void {
  if (!remarks) {
    console.error([...files.map(({ path }) => path), ...notes].map(remark).join('\n'));
    for (const { content } of files) process.stdout.write(content);
    return;
  }
  const parts = files.map(({ path, content }) => `# ---- ${path}\n${content}`);
  process.stdout.write(`${notes.map(remark).join('\n')}\n\n${parts.join('\n')}`);
}

/** Writes no file that is there. */
function printScript({ files }: Setup, notes: readonly string[]): void {
  const parts = files.map(
    ({ path, content }) => `mkdir -p '${dirname(path)}'\ncat > '${path}' <<'END'\n${content}END\n`,
  );
  process.stdout.write(
    `${notes.map(remark).join('\n')}\n\n# What is there already is not overwritten.\nset -Ce\n${parts.join('\n')}`,
  );
}

function remark(text: string): string {
  return `# ${text}`;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && `${url.username}${url.search}${url.hash}` === '')
    return url;
  throw new InvalidArgumentError('must be a URL such as http://mirror:5000');
}
