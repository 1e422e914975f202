import packageJson from '../../package.json' with { type: 'json' };

/** Name and version of this program, as cards show them. */
export const software = `skein/${packageJson.version}`;
