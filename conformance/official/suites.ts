/** One of the two suites that OCI has published for registries. */
export interface Suite {
  readonly name: string;
  /** Of https://github.com/opencontainers/distribution-spec. */
  readonly commit: string;
  /** Its folder below `CONFORMANCE_SUITES`. */
  readonly folder: string;
  /** How Go makes a program of the package: the older suite is a test, the newer one a program. */
  readonly build: readonly string[];
}

/** The Go module that both suites are. */
export const modulePath = 'github.com/opencontainers/distribution-spec/conformance';

/** Of the released specification. */
export const released: Suite = {
  name: 'v1.1.1',
  commit: 'a139cc423184af6078077b9b7ee336eddbd03f8f',
  folder: 'v1.1.1/conformance',
  build: ['test', '-c'],
};

/** Of the specification's main branch, where the suite was written anew. */
export const current: Suite = {
  name: 'main',
  commit: '967efdc079b91785ad18c77cc4f8991a47feefbf',
  folder: 'main/conformance',
  build: ['build'],
};
