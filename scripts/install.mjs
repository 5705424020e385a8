// Builds the native addon with cmake-js: build/ is CMake's build folder, build/Release/gattling.node the result.
// Run by `npm ci` (install script), `npm run build:native` and, through binding.gyp, node-gyp. Nothing is downloaded:
// with "binary.napi_versions" in package.json cmake-js takes the headers of the package node-api-headers.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(root, 'build');
const addon = join(build, 'Release', 'gattling.node');

function fail(sentence) {
  console.error(`\ngattling: ${sentence}\n`);
  process.exit(1);
}

const runs = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** What building needs: any one of the programs, or the Debian package that brings it. */
const tools = [
  { name: 'CMake', programs: ['cmake'], package: 'cmake' },
  { name: 'a C++ compiler', programs: [process.env.CXX, 'c++', 'g++', 'clang++'], package: 'g++' },
  { name: 'make or Ninja', programs: ['ninja', 'make'], package: 'make' },
];

function checkTools() {
  const missing = tools.filter(({ programs }) => !programs.filter(Boolean).some(runs));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name).join(' and ');
  const packages = missing.map((tool) => tool.package).join(' ');
  fail(`The native engine cannot be built without ${names}; on Debian or Ubuntu run: apt-get install ${packages}`);
}

/** A cache of another folder is stale; a cache of another generator is kept and its generator used again. */
function generatorOfCache() {
  const cache = join(build, 'CMakeCache.txt');
  if (!existsSync(cache)) return [];
  const entry = (name) => new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(readFileSync(cache, 'utf8'))?.[1];
  if (entry('CMAKE_HOME_DIRECTORY') === root) return ['--generator', entry('CMAKE_GENERATOR')];
  rmSync(build, { recursive: true, force: true });
  return [];
}

function cmakeJs(command, ...args) {
  const program = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const env = { ...process.env };
  // Under node-gyp this runs inside make, whose flags are not meant for CMake's own make.
  for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES']) delete env[name];
  const all = [program, command, '--directory', root, '--out', build, '--config', 'Release', '--log-level', 'warn', ...args];
  const { status } = spawnSync(process.execPath, all, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) fail(`The native engine could not be built: "cmake-js ${command}" failed, its output above says why.`);
}

checkTools();
// auto unless said otherwise, or what the cache has.
const cuda = process.env.GATTLING_CUDA;
if (cuda && !['auto', 'on', 'off'].includes(cuda)) fail(`GATTLING_CUDA is ${cuda}; it must be auto, on or off.`);
cmakeJs('configure', ...generatorOfCache(), ...(cuda ? [`--CDGATTLING_CUDA=${cuda}`] : []));
// Without --all only the addon: native tests and benches are for those who run them.
const targets = process.argv.includes('--all') ? [] : ['--target', 'gattling'];
cmakeJs('build', ...targets, '--parallel', String(availableParallelism()));
if (!existsSync(addon)) fail(`The build ended without ${addon}; remove the folder build/ and run: npm run build:native`);
