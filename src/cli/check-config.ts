import type { Command } from 'commander';
import { ConfigError, formatFinding } from '../config/finding.ts';
import { printConfig } from '../config/print.ts';
import { checkMirroring } from '../mirroring/check.ts';
import { configure } from './configure.ts';

export function addCheckConfig(program: Command): void {
  program
    .command('check-config')
    .argument('[config]', 'the configuration file')
    .summary('check the configuration and print what is in effect')
    .description(
      'Reads the configuration file and the REGISTRY_… variables, prints the configuration in effect without its secrets, and warns of what has no effect. Looks for the certificates that mirror.upstreams names, but asks nobody. Exits with 1 and a list of everything that is wrong.',
    )
    .action(async (path: string | undefined) => {
      const { config, source, warnings, origins } = await configure(path);
      await checkMirroring(config).catch((error: unknown) => {
        throw error instanceof ConfigError ? located(error, origins) : error;
      });
      for (const warning of warnings) console.error(`warning: ${formatFinding(warning)}`);
      console.log(`# ${source}`);
      process.stdout.write(printConfig(config, origins));
    });
}

/** The same, with the places where the keys are given. */
function located({ faults }: ConfigError, origins: ReadonlyMap<string, string>): ConfigError {
  return new ConfigError(faults.map((fault) => ({ ...fault, source: origins.get(fault.key) ?? fault.source })));
}
