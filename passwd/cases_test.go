package passwd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cases tells which test shows each of the numbered cases that migrations and other tools were seen to fail on; the
// program that confirms it stands behind. Where a table of cases is meant, its row follows the name.
const cases = `
 1 no newline at the end            passwd.TestParse, shadow.TestNoFinalNewline
 2 empty file                       passwd.TestParse; no write: passwd.TestEveryEditIsChecked, passwd.TestApplyRefuses
 3 comments and blank lines         passwd.TestParse, passwd.TestLibcSeesWhatWeSee (getent)
 4 a comment of seven fields        passwd.TestParse, passwd.TestHostileIDsInUse, passwd.TestLibcSeesWhatWeSee (getent)
 5 NIS lines                        passwd.TestParse, passwd.TestHostileAddGoesBeforeNIS
 7 CRLF                             passwd.TestParse, passwd.TestLinesOfWindowsEditorsComeClean, passwd.TestLibcSeesWhatWeSee (getent)
 9 eight fields in passwd           passwd.TestParse, passwd.TestHostileIDsInUse, passwd.TestConflicts (unfit lines stay behind)
11 ids that are no numbers          passwd.TestParse, passwd.TestHostileLinesAreNoUsers, passwd.TestLibcSeesWhatWeSee (getent)
13 leading zeros                    passwd.TestParse, passwd.TestHostileNames
14 ids that mean none               passwd.TestParse, passwd.TestHostileFedoraToUbuntu
15 a name twice                     passwd.TestParse, passwd.TestLookupTakesTheFirst, shadow.TestDuplicates
16 two names of one uid             passwd.TestConflicts, passwd.TestHostileAliases
17 bytes that are no UTF-8          passwd.TestParse, passwd.TestHostileBytesOfPeople
18 NUL                              passwd.TestHostileNUL, passwd.TestRefusedEdits, shadow.TestParse
19 long lines                       passwd.TestParseLongLines, shadow.TestLongLines
20 member lists                     passwd.TestParseGroup, passwd.TestHostileMemberLists
21 three fields in group            passwd.TestParseGroup
22 five fields in group             passwd.TestParseGroup, passwd.TestHostileMemberLists
23 empty and 0 in shadow            shadow.TestEmptyIsNotZero, shadow.TestAgeing, shadow.TestParseAgainstLibc (fgetspent)
24 eight fields in shadow           shadow.TestMergeShadow (eight fields), shadow.TestParseAgainstLibc (fgetspent)
25 five fields in shadow            shadow.TestMergeShadow (five fields), shadow.TestParseAgainstLibc (fgetspent)
27 states of the password           shadow.TestSecretStates
28 gshadow                          shadow.TestParseGroup, shadow.TestParseGroupAgainstLibc (fgetsgent)
29 any bytes                        passwd.FuzzParse, passwd.FuzzGroup, passwd.FuzzSmall, shadow.FuzzShadow, shadow.FuzzGroup
30 from Fedora, order of lines      passwd.TestMergeTwoUsersFromFedora, passwd.TestMergeDoesNotDependOnTheOrderOfLines
32 names of the target's system     passwd.TestHostileSystemNames, passwd.TestConflicts (a system account of that name)
33 primary groups of the system     passwd.TestHostileSystemGroupsGoByName, passwd.TestGroups
35 a private group's name is taken  passwd.TestGroups (private group taken by several, or by another, or by the system)
36 wheel and sudo                   passwd.TestGroups (by the name that the target has for them), shadow.TestMergeGroups, shadow.TestNoNewComplaints (grpck)
37 mail-only users                  passwd.TestMergeLab, passwd.TestHostileFedoraToUbuntu
38 nobody, services                 passwd.TestHostileFedoraToUbuntu, passwd.TestConflicts (probable service)
40 subordinate ranges               passwd.TestConflicts (subordinate ids are not free), passwd.TestHostileSubordinateRanges, passwd.TestSubordinateIDs
41 homes                            passwd.TestConflicts (home of another, in, around), passwd.TestHostileCollisionsAreTold
43 no gshadow on the target         passwd.TestGroupsWithoutGshadow (grpck), passwd.TestWithoutShadowFiles
44 run again, run with one more     passwd.TestSecondMergeIsEmpty, passwd.TestHostileSecondRun, passwd.TestApplyVerifyRevert
46 hashes in passwd                 shadow.TestMergeShadow (hash in passwd), passwd.TestPasswordField
47 ageing                           shadow.TestAgeing
48 values that cannot be written    passwd.TestHostileValuesAreRefused, passwd.TestRefusedEdits
49 rounds= with a short salt        shadow.TestVerify, shadow.TestVerifyAgainstLibcrypt (crypt)
50 other hashes                     shadow.TestVerifyRefuses, shadow.TestSchemes, shadow.FuzzVerify
52 useradd at the same time         passwd.TestConcurrentUseradd (useradd, pwck, grpck)
53 the lock is held                 passwd.TestApplyNamesTheHolder, passwd.TestApplyWaitsForLocksOnlySoLong
54 stale lock files                 lockfile.TestPasswdFileLockFoundThere, lockfile.TestPasswdOddLockFiles, lockfile.TestPasswdKilled (useradd)
56 modes, umask, no open moment     atomicfile.TestModes, atomicfile.TestNeverReadableMeanwhile, passwd.TestNewFiles
57 killed between two renames       passwd.TestKilledApply, passwd.TestEveryPrefixIsCompleted, passwd.TestEveryPrefixPassesTheCheckers (pwck, grpck)
58 full, read-only, immutable       atomicfile.TestDiskFull, atomicfile.TestReadOnly, atomicfile.TestImmutable
59 a symbolic link                  passwd.TestApplyRefuses, passwd.TestHostileRoots
60 attributes and ACL               atomicfile.TestXattrsKept, atomicfile.TestACLKept (getfacl)
61 an edit between plan and apply   passwd.TestApplyRefuses (drift), passwd.TestHostileRoots
`

// TestCasesHaveTests says that every test of the list exists.
func TestCasesHaveTests(t *testing.T) {
	dirs := map[string]string{"passwd": ".", "shadow": "../shadow", "lockfile": "../internal/lockfile", "atomicfile": "../internal/atomicfile"}
	source := map[string]string{}
	for pkg, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			source[pkg] += string(text)
		}
	}
	named := regexp.MustCompile(`(\w+)\.((?:Test|Fuzz)\w+)`).FindAllStringSubmatch(cases, -1)
	require.Greater(t, len(named), strings.Count(cases, "\n")-2)
	for _, n := range named {
		require.Contains(t, source[n[1]], "\nfunc "+n[2]+"(", n[0])
	}
}
