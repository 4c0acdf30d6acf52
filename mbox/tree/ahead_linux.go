package tree

import (
	"context"
	"crypto/sha256"

	"golang.org/x/sys/unix"
)

// sumsAhead holds sums of files that Verify comes to next: one question for many files, for each takes a round trip.
type sumsAhead struct {
	on   bool // every file's sum will be wanted
	sums map[string][sha256.Size]byte
}

// aheadMost is for how many files a question asks.
const aheadMost = 10000

// sumFor gives the sum of a file, asked for with those of its directory and of what is below it.
func (s *remote) sumFor(ctx context.Context, f *remoteFile) (sum [sha256.Size]byte, err error) {
	want := []request{{path: f.path, uid: f.st.uid, gid: f.st.gid}}
	sum, ok := s.ahead.sums[f.path]
	if !ok {
		if s.ahead.on {
			dir, _ := splitPath(f.path)
			want = s.gather(want, dir)
		}
		if s.ahead.sums, err = s.sums(ctx, want); err != nil {
			return sum, err
		}
		if sum, ok = s.ahead.sums[f.path]; !ok {
			return sum, unix.ENOENT
		}
	}
	delete(s.ahead.sums, f.path)
	return sum, nil
}

// gather adds the regular files in a directory of the manifest, then those in its directories.
func (s *remote) gather(want []request, dir string) []request {
	all, err := s.m.dir(dir)
	if err != nil {
		return want // the walk finds that out, too
	}
	for _, k := range all {
		if path := joinPath(dir, k.name); k.st.regular() && path != want[0].path && len(want) < aheadMost {
			want = append(want, request{path: path, uid: k.st.uid, gid: k.st.gid})
		}
	}
	for _, k := range all {
		if len(want) >= aheadMost {
			break
		}
		if k.st.dir() {
			want = s.gather(want, joinPath(dir, k.name))
		}
	}
	return want
}
