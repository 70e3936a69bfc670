/** For a script tag without type=module: a global Carnet. */
import { CarnetError, connect } from "./index.ts";

Object.assign(globalThis, { Carnet: { CarnetError, connect } });
