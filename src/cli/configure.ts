import { storageDrivers } from '../../storage-drivers/index.ts';
import { findConfigPath, type LoadedConfig, loadConfig } from '../config/load.ts';

/**
 * The configuration that a command works with.
 *
 * @param argument the file that the command line names
 * @throws ConfigError with everything that is wrong with it
 */
export function configure(argument: string | undefined): Promise<LoadedConfig> {
  const environment = process.env;
  const drivers = Object.fromEntries(
    Object.entries(storageDrivers).map(([name, { parseOptions }]) => [
      name,
      (parameters: Readonly<Record<string, unknown>>) => {
        const parsed = parseOptions(parameters);
        return { faults: 'faults' in parsed ? parsed.faults : [], warnings: parsed.warnings };
      },
    ]),
  );
  return loadConfig({ path: findConfigPath({ argument, environment }), environment, drivers });
}
