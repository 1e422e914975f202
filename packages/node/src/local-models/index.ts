export { findLocalModel, findLocalModels, isLocalModelReference, type LocalModel } from './find-local-models.ts';
export { localModelPlaces, type LocalModelPlaces } from './places.ts';
