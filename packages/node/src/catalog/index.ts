export { catalog, defaultModelName, findCatalogEntry, findCatalogEntryByHash } from './catalog.ts';
export type { CatalogEntry } from './catalog-entry.ts';
