import type { Command } from 'commander';
import { formatFinding } from '../config/finding.ts';
import { printConfig } from '../config/print.ts';
import { configure } from './configure.ts';

export function addCheckConfig(program: Command): void {
  program
    .command('check-config')
    .argument('[config]', 'the configuration file')
    .summary('check the configuration and print what is in effect')
    .description(
      'Reads the configuration file and the REGISTRY_… variables, prints the configuration in effect without its secrets, and warns of what has no effect. Exits with 1 and a list of everything that is wrong.',
    )
    .action(async (path: string | undefined) => {
      const { config, source, warnings, origins } = await configure(path);
      for (const warning of warnings) console.error(`warning: ${formatFinding(warning)}`);
      console.log(`# ${source}`);
      process.stdout.write(printConfig(config, origins));
    });
}
