import { openAccess } from '../../auth/access.ts';
import { type App, type AppOptions, createApp } from '../app.ts';
import { createRecordingLog } from '../listen/testing/recording-log.ts';

const ok = async () => ({ status: 200 });

/** An app that everybody may use. @param options laid over that */
export function createTestApp(options: Partial<AppOptions> & Pick<AppOptions, 'registry'>): App {
  return createApp({
    access: openAccess,
    health: { live: ok, ready: ok, failing: () => undefined },
    headers: {},
    log: createRecordingLog(),
    pages: { repositories: 1000, tags: 1000 },
    prefix: '',
    host: undefined,
    relativeUrls: true,
    clientAddress: (peer) => peer,
    ...options,
  });
}
