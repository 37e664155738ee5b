import type { Command } from 'commander';
import { createDriver } from '../../storage-drivers/index.ts';
import { revealSecrets } from '../config/secret.ts';
import { purgeUploads } from '../registry/purge-uploads.ts';
import { configure } from './configure.ts';
import { parseAge } from './duration.ts';

export function addPurgeUploads(program: Command): void {
  program
    .command('purge-uploads')
    .argument('[config]', 'the configuration file')
    .summary('remove uploads that nobody finished')
    .description(
      'Removes upload sessions in which nothing has happened for some time, and says which. Safe while the registry runs. The running registry does the same by itself as storage.maintenance.uploadpurging says.',
    )
    .option('-d, --dry-run', 'only say what would be removed')
    .option('-a, --age <age>', 'how long nothing must have happened, e.g. 12h or 7d', parseAge)
    .action(async (path: string | undefined, options: { dryRun?: boolean; age?: number }) => {
      const { config } = await configure(path);
      const age = options.age ?? config.storage.maintenance.uploadpurging.age;
      const dryRun = options.dryRun === true;
      if (config.storage.maintenance.readonly.enabled && !dryRun) {
        console.error('berth: storage.maintenance.readonly is enabled; --dry-run says what would be removed');
        process.exitCode = 1;
        return;
      }
      const driver = createDriver(config.storage.driver.name, revealSecrets(config.storage.driver.parameters));
      try {
        let count = 0;
        let bytes = 0;
        const onFault = (repository: string, id: string, error: unknown) => {
          console.error(`${repository} ${id}: ${error instanceof Error ? error.message : error}`);
          process.exitCode = 1;
        };
        const before = new Date(Date.now() - age);
        for await (const upload of purgeUploads({ driver, before, dryRun, onFault })) {
          count++;
          bytes += upload.size;
          const { repository, id, lastUsed, size } = upload;
          console.log(`${repository} ${id}: ${size} bytes, last used ${lastUsed.toISOString()}`);
        }
        console.log(`${dryRun ? 'would remove' : 'removed'} ${count} uploads with ${bytes} bytes`);
      } finally {
        await driver.close?.();
      }
    });
}
