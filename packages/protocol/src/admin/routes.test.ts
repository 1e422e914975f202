import { expect, test } from 'vitest';

import { placeRequest, type AdminRoute } from './route.ts';
import { adminRoutes } from './routes.ts';

test('has one route for each method and path', () => {
  const routes: readonly AdminRoute[] = Object.values(adminRoutes);
  // A field in the path may be named differently, and means the same place.
  const places = routes.map(({ method, path }) => `${method} ${path.replaceAll(/:\w+/g, ':')}`);
  expect(new Set(places).size).toBe(places.length);
});

test('lets nobody beyond this machine do more than see, plan, deploy, undeploy and drain', () => {
  const open = Object.entries(adminRoutes).filter(([, { callers }]) => callers === 'any');
  expect(open.map(([name]) => name)).toEqual(['status', 'deploy', 'plan', 'undeploy', 'drain', 'undrain']);
});

test('puts the fields of a request into path, query and body', () => {
  const { deploy, undeploy, rotate, approve } = adminRoutes;
  const id = 'a/b?c';
  expect(placeRequest(undeploy, { id, now: 'true' })).toEqual({ path: '/skein/v1/deployments/a%2Fb%3Fc?now=true' });
  expect(placeRequest(undeploy, { id: 'one' })).toEqual({ path: '/skein/v1/deployments/one' });
  expect(placeRequest(deploy, { model: 'tiny', stages: undefined, layers: [1, 2] })).toEqual({
    path: '/skein/v1/deployments',
    body: { model: 'tiny', layers: [1, 2] },
  });
  expect(placeRequest(rotate, {})).toEqual({ path: '/skein/v1/epochs', body: {} });
  const peer = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
  expect(placeRequest(approve, { peer })).toEqual({ path: `/skein/v1/members/${peer}/approve`, body: {} });
});
