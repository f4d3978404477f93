// Whether a file is CycloneDX as its `specVersion` says, by the schemas that its authors publish. Exit 1 and the faults if not.
import { readFileSync } from 'node:fs'
import { Validation } from '@cyclonedx/cyclonedx-library'

const text = readFileSync(process.argv[2], 'utf8')
const validator = new Validation.JsonStrictValidator(JSON.parse(text).specVersion)
const faults = await validator.validate(text)
if (faults !== null) {
  console.error(JSON.stringify(faults, null, 1))
  process.exit(1)
}
