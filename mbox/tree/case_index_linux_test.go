package tree_test

// The numbered cases of moving mail stores, and the tests that hold them. Those called TestCase... see the package from
// outside only; the others know its inside and stand in the files beside. Parsing, 1 to 14, is in package mbox
// (cases_test.go, scan_test.go, dovecot_test.go), housekeeping, 51, with the archive there.
//
//	Copy and incremental
//	15  flags set in the padding, time put back      TestCaseFlagInPadding, TestSameSizeSameTimeRewrite
//	16  same size, same second, other ns             TestCaseOtherNanoseconds
//	17  append                                       TestCaseMessageDelta/17_append
//	18  header grows                                 TestCaseMessageDelta/18_...
//	19  expunge first, middle, last                  TestCaseMessageDelta/19_...
//	20  all expunged                                 TestCaseMessageDelta/20_all_gone, /emptied
//	    what a delta is built from; any edit         TestCaseDeltaBaseMustBeOurs, TestCaseRandomEdits
//	21  replaced by the same bytes                   TestCaseReplacedBySameBytes
//	22  older index carried, newer never published   TestCaseOlderIndexIsCarried, TestCaseNewerIndexIsNeverPublished,
//	                                                 TestCaseIndexNeverOvertakes, TestIndexFollowsMailbox, TestIndexStaysWithoutItsMailbox
//	23  an index that is a log alone                 TestCaseIndexLogAndSubscriptions
//	24  subscriptions                                TestCaseIndexLogAndSubscriptions
//	25  flags are renames                            TestCaseFlagsAreRenames, TestCaseNamesExchanged, TestMessagesMove
//	26  moves                                        TestCaseMovesAndLinks, TestMessagesMove
//	27  COPY's hard links                            TestCaseMovesAndLinks, TestCaseLinksComeAndGo, TestMessagesMove
//	    an inode used again is no rename             TestCaseInodeUsedAgain
//	28  1000 renames a second                        TestCaseRenamesWhileCopying
//	29  uidlist is one or the other                  TestCaseUIDListIsWhole
//	30  edited in place, time put back               TestCaseDocumentedMisses, TestCaseHotFilesOfTrustedDirectories,
//	                                                 TestCaseCanary
//	31  mode, owner, attribute of a message          TestCaseDocumentedMisses, TestMetadataOnly
//	32  same tick of the clock                       TestCaseSameTick, TestCaseTargetWithWholeSeconds
//	33  clock step                                   TestCaseClockStep
//	34  other boot, device, roots; damaged state     TestCaseOtherBoot, TestCaseOtherDevice, TestCaseStateOfOtherRoots,
//	                                                 TestCaseDamagedState, TestOtherBootOrDevice, TestBrokenStateIsAnError
//	35  somebody logs in at the target               TestCaseLoginAtTheTarget, TestDriftIsLeftAlone, TestForeignObjectsAreLeft
//	36  times to the ns, access times                TestCaseTimes, TestMessagesMove
//	37  the first SELECT is cheap                    TestCaseFirstSelectIsCheap, TestCaseFirstSelectListsNothing
//	38  clients see the same                         TestCaseClientsSeeTheSame
//
//	Locks
//	39  locks of others, opposite orders             TestCaseLocksOfOthers, TestCaseShortLockIsWaitedFor,
//	                                                 TestCaseReverseOrderSoak, TestBusyMailboxIsAProblem
//	40  dotlocks of the dead and the living          TestCaseDotlocksOfOthers, TestDotlockOfADeadProcessIsCleared;
//	                                                 lockfile: TestMailboxDotlockFoundThere, TestRemoveStale
//	41  our own dotlock is swept                     TestCaseOwnDotlockIsSwept, TestCaseKilled
//	42  no dotlock possible; sticky spool            TestCaseNoPlaceForADotlock, TestCaseStickySpool;
//	                                                 lockfile: TestMailboxDirectoryAllowsNoDotlock
//
//	Fidelity and security
//	43  one of each thing                            TestCaseFixture, TestCaseFileFlags, TestCaseAttributesOfLinks,
//	                                                 TestCaseSpecialNamesAreLinks,
//	                                                 TestCaseSocket, TestCaseRsyncFindsNothingToDo, TestEverythingIsKept
//	44  nothing blocks                               TestCaseNothingBlocks, TestFifoInMaildirDoesNotHang
//	45  6000 bytes of path                           TestCaseDeepPath, TestDepthBeyondPathMax
//	46  full at each page, inodes, quota, write-back TestCaseFullDisk, TestCaseNoInodes, TestCaseQuota,
//	                                                 TestCaseWriteBackError, TestFullDisk
//	47  other types between listing and opening      TestCaseTypesChangeWhileCopying, TestChangesBetweenListingAndOpening
//	48  read error at an offset                      TestCaseReadError
//	49  staging is never listed                      TestCaseStagingIsNotListed, TestStagingIsOutsideMailFolders
//	50  ids mapped inside ACLs                       TestCaseMappedIDs, TestIDsAreMapped, TestOtherMapsReachACLs
//	    symbolic link exchanged 100,000 times        TestCaseSwapRace, TestSwapRace, TestSwapRaceAtTarget
//	    killed at any moment; interrupted            TestCaseKilled, TestCaseInterrupted, TestKilledAnywhere
//	    a home that is a disk of its own             TestCaseTargetHomeIsAMount, TestMountsAreNotCrossed
//
// TREE_CASE_SCALE=n makes races, soaks and sizes n times as long, TREE_CASE_KILLS=200 kills 200 times instead of 20.
