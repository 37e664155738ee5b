import type { Command } from 'commander';
import { formatFinding } from '../config/finding.ts';
import { findConfigPath } from '../config/load.ts';
import { createLog } from '../observe/log.ts';
import { startServer } from '../server.ts';
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
  const { config, source, warnings } = await configure(path);
  const { level, formatter, fields, accesslog } = config.log;
  const log = createLog({ level, formatter, fields, accessLog: !accesslog.disabled });
  log.info('starting', { version: version(), node: process.version, configuration: source });
  for (const warning of warnings) log.warn('configuration', { finding: formatFinding(warning) });

  const folder = config.storage.driver.parameters.rootdirectory;
  const root = config.storage.driver.name === 'filesystem' ? String(folder ?? '/var/lib/registry') : undefined;
  const server = await startServer(config, log, () => dropPrivileges(process.env.BERTH_USER, root, log));
  log.info('listening', { address: server.address });

  const reload = async () => {
    try {
      await server.reload((await configure(path)).config.auth);
    } catch (error) {
      log.error('the configuration cannot be used; the one that was read before stays', { error });
      await server.reload(undefined);
    }
  };
  process.on('SIGHUP', () => void reload());
  // A policy that was changed in the file is taken over without a signal.
  const file = findConfigPath({ argument: path, environment: process.env });
  if (config.auth?.builtin !== undefined && file !== undefined) watchFiles([file], reload);
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
