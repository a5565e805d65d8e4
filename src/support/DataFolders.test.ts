import { delimiter, join } from "node:path"
import { describe, expect, it } from "vitest"
import * as DataFolders from "./DataFolders.ts"

describe("the search for data", () => {
  const at = (...paths: ReadonlyArray<string>) => {
    const asked: Array<string> = []
    const exists = (path: string): boolean => {
      asked.push(path)
      return paths.includes(path)
    }
    return { asked, exists }
  }

  it("finds them in the working folder first, then in the folders in order", () => {
    const { asked, exists } = at(join("b", "flowers"), join("c", "flowers"))
    expect(DataFolders.find("flowers", ["a", "b", "c"], exists)).toBe(join("b", "flowers"))
    expect(asked).toEqual(["flowers", join("a", "flowers"), join("b", "flowers")])
    expect(DataFolders.find("flowers", ["a"], at("flowers", join("a", "flowers")).exists)).toBe("flowers")
  })

  it("does not change a path that does not exist", () => {
    expect(DataFolders.find("flowers", ["a", "b"], () => false)).toBe("flowers")
  })

  it("does not search for an absolute path or one that begins with a dot", () => {
    const { asked, exists } = at()
    for (const path of ["./flowers", "../flowers", ".", "", "/data/flowers"]) {
      expect(DataFolders.find(path, ["a"], exists)).toBe(path)
    }
    expect(asked).toEqual([])
  })

  it("splits the variable as PATH, and searches data by default", () => {
    expect(DataFolders.parse(["/a", "", "b"].join(delimiter))).toEqual(["/a", "b"])
    expect(DataFolders.parse(undefined)).toEqual(["data"])
    expect(DataFolders.parse("")).toEqual(["data"])
  })
})
