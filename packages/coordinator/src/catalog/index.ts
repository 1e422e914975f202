export { explainMissing, findModel, type ModelView } from './find-model.ts';
