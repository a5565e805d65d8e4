import { delimiter, join } from "node:path"
import { describe, expect, it } from "vitest"
import * as DataFolders from "./DataFolders.ts"

describe("where data is looked for", () => {
  const at = (...paths: ReadonlyArray<string>) => {
    const asked: Array<string> = []
    const exists = (path: string): boolean => {
      asked.push(path)
      return paths.includes(path)
    }
    return { asked, exists }
  }

  it("is the working folder first, then the folders in their order", () => {
    const { asked, exists } = at(join("b", "flowers"), join("c", "flowers"))
    expect(DataFolders.find("flowers", ["a", "b", "c"], exists)).toBe(join("b", "flowers"))
    expect(asked).toEqual(["flowers", join("a", "flowers"), join("b", "flowers")])
    expect(DataFolders.find("flowers", ["a"], at("flowers", join("a", "flowers")).exists)).toBe("flowers")
  })

  it("leaves what is nowhere as it was given", () => {
    expect(DataFolders.find("flowers", ["a", "b"], () => false)).toBe("flowers")
  })

  it("is not the folders for a path that says where it is", () => {
    const { asked, exists } = at()
    for (const path of ["./flowers", "../flowers", ".", "", "/data/flowers"]) {
      expect(DataFolders.find(path, ["a"], exists)).toBe(path)
    }
    expect(asked).toEqual([])
  })

  it("is written as PATH is, and data without it", () => {
    expect(DataFolders.parse(["/a", "", "b"].join(delimiter))).toEqual(["/a", "b"])
    expect(DataFolders.parse(undefined)).toEqual(["data"])
    expect(DataFolders.parse("")).toEqual(["data"])
  })
})
