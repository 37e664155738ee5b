export type Level = 'debug' | 'info' | 'warn' | 'error';

export const severity: Record<Level, number> = { debug: 20, info: 30, warn: 40, error: 50 };
