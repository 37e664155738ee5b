import { isDeepStrictEqual } from 'node:util';
import type { Command } from 'commander';
import { formatFinding } from '../config/finding.ts';
import { findConfigPath, type LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { createLog } from '../observe/log.ts';
import { type Server, startServer } from '../server.ts';
import { watchFiles } from '../watch-files.ts';
import { configure } from './configure.ts';
import { dropPrivileges } from './privileges.ts';
import { version } from './version.ts';

export function addServe(program: Command): void {
  program
    .command('serve')
    .argument('[config]', 'the configuration file')
    .summary('run the registry')
    .description(
      'Runs the registry until SIGTERM or SIGINT; then it stops listening and lets running requests end for http.draintimeout. SIGHUP reads certificates, users and the policy of auth.builtin again. Started as root with BERTH_USER=uid:gid, it becomes that user.',
    )
    .action(serve);
}

async function serve(path: string | undefined): Promise<void> {
  const file = findConfigPath({ argument: path, environment: process.env });
  let started: (server: Server) => void = () => {};
  const running = new Promise<Server>((resolve) => {
    started = resolve;
  });
  // From before it is read the first time: nothing that is changed while the server starts is missed.
  const watching = watchFiles(file === undefined ? [] : [file], async () => {
    const server = await running;
    const read = await configure(path).catch((error: unknown) => ({ error }));
    return () => reload(server, read);
  });
  process.on('SIGHUP', () => void watching.readNow());

  const { config, source, warnings } = await configure(path);
  const { level, formatter, fields, accesslog } = config.log;
  const log = createLog({ level, formatter, fields, accessLog: !accesslog.disabled });
  log.info('starting', { version: version(), node: process.version, configuration: source });
  for (const warning of warnings) log.warn('configuration', { finding: formatFinding(warning) });

  const server = await startServer(config, log, () => dropPrivileges(config.storage, log.info));
  log.info('listening', { address: server.address });
  started(server);

  function reload({ reload }: Server, read: LoadedConfig | { error: unknown }): Promise<void> {
    if ('error' in read) {
      log.error('the configuration cannot be used; the one that was read before stays', { error: read.error });
      return reload(undefined);
    }
    for (const warning of read.warnings) log.warn('configuration', { finding: formatFinding(warning) });
    if (!isDeepStrictEqual(withoutPolicy(read.config), withoutPolicy(config))) {
      log.warn('the configuration was changed; all of it but policy and groups counts from the next start on');
    }
    return reload(read.config.auth);
  }

  const stop = async (signal: string) => {
    log.info('stopping', { signal });
    await server.close();
    log.info('stopped');
    log.flush();
    process.exit(0);
  };
  // A second signal is somebody who cannot wait.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      process.once(signal, () => process.exit(1));
      void stop(signal);
    });
  }
}

/** What is taken over at the start only. */
function withoutPolicy(config: Config): unknown {
  const { auth, ...rest } = config;
  if (auth?.builtin === undefined) return config;
  const { policy: _, groups: __, ...builtin } = auth.builtin;
  return { ...rest, auth: { ...auth, builtin } };
}
