// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: the store itself, names, content, staging, the layouts.
//
// Locks, in the order they are taken: flush_lock (one barrier at a time), then lock (everything
// marked "under lock"). No file is read or written under `lock`.
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store/store.h"
#include "util/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum {
	STORE_REPO_MAX = 255,         // bytes of a repository name
	STORE_ENTRIES_MAX = 1000000,  // names listed, index records, origins
	STORE_PIECES_MAX = 1000,      // pieces of one blob
	STORE_ORIGIN_MAX = 512,       // bytes of an origin
	STORE_RESUME_MIN = SLAB_SIZE, // smaller blobs are simply read again
	STORE_HELD_MAX = 256,         // descriptors that a batch may hold, if the limit allows
	STORE_BATCH_FILES_MAX = 8192, // files in a batch
	STORE_SMALL_BATCH = 16,       // files, and folders, that are synced one by one
	STORE_PART_WAIT_MS = 10000,   // for another process whose download does not move
	STORE_PATH_MAX = 512,         // a path below v2 or the state folder, with its NUL
};

// FAT32 holds files of at most 4 GiB - 1.
#define STORE_PIECE_BYTES   ((uint64_t)UINT32_MAX)
#define STORE_BARRIER_BYTES ((uint64_t)256 << 20)
#define STORE_BARRIER_US    ((uint64_t)2000000)
#define STORE_JOIN_US       ((uint64_t)300)
// Unwritten data of others from which on syncfs would wait too long.
#define STORE_BUSY_BYTES    ((uint64_t)256 << 20)

// ---- names (path.c)

// Repository names are checked before any of them reaches the filesystem.
int repo_check(const char *repo, struct err *e) must_check;
int tag_check(const char *tag, struct err *e) must_check;
bool repo_component_ok(struct str component, bool first);
// "sha256:<hex>", or as the reference writes it on Windows, "sha256-<hex>".
bool digest_of_name(struct digest *ret, const char *name);
void digest_file_name(const struct digest *d, char sep, char ret[DIGEST_TEXT_MAX]);

// Opens PATH for reading below ROOT; symbolic links are followed only while they stay below it.
// Never blocks on a FIFO. -1 with errno.
int open_beneath(int root, const char *path);
int open_beneath_by_hand(int root, const char *path); // where openat2 is missing
// Reading FD leaves no trace in its times, if that is permitted.
void keep_atime(int fd);
// The folder PATH below ROOT; no link is followed. CREATE makes what is missing; the folders in
// which something was made are added to RET_MADE. -1 with errno.
int open_folder(int root, const char *path, bool create, struct strlist *ret_made);

struct folder_entry {
	const char *name;
	unsigned char type; // DT_REG, DT_LNK, DT_DIR, or DT_UNKNOWN for all others
};
// Calls FN for each entry but "." and "..". A missing folder has none.
int folder_list(int root, const char *path,
		int (*fn)(void *arg, const struct folder_entry *entry, struct err *e), void *arg,
		struct err *e) must_check;
// Writes NAME in DIR whole or not at all, durably.
int file_replace(struct store *s, int dir, const char *name, struct str bytes, struct err *e)
	must_check;
// Removes what DIR holds and DIR itself, one level deep.
void folder_remove(int root, const char *path);

// ---- content (reader.c)

// An open blob: one file, or several that follow each other.
struct content {
	uint64_t size;
	unsigned n;
	int *fds;
	uint64_t *sizes;
	struct stat first; // identity, for remembering what was hashed
};
#define auto_content __attribute__((cleanup(content_release)))
void content_release(struct content *c);
// PATH below ROOT. ERR_NOT_FOUND; ERR_IO for what is no regular file.
int content_open(struct content *ret, int root, const char *path, struct err *e) must_check;
// The same, or PATH.000, PATH.001, …
int content_open_pieces(struct content *ret, int root, const char *path, struct err *e) must_check;
ssize_t content_pread(const struct content *c, void *buf, size_t n, uint64_t offset);
// Hashes C unless that was done in this run. ERR_DIGEST says what is wrong with it.
int content_verify(struct store *s, const struct content *c, const struct digest *d, uint64_t size,
		   struct err *e) must_check;
// The bytes of C, at most MAX, whose digest is D. ERR_DIGEST.
int content_read(const struct content *c, size_t max, struct buf *ret, struct err *e) must_check;
// C was hashed while it was written.
void content_verified(struct store *s, const struct stat *first, uint64_t size,
		      const struct digest *d);
// What REPO has under D: staged, then named. ERR_NOT_FOUND.
int blob_content(struct store *s, const char *repo, const struct digest *d, struct content *ret,
		 struct err *e) must_check;
// 0 when REPO can hand out good bytes for D (in a store opened for writing it is linked to them if
// another repository has them); ERR_NOT_FOUND when it cannot.
int blob_good(struct store *s, const char *repo, const struct descriptor *d, struct err *e)
	must_check;
// A verified manifest by digest. ERR_NOT_FOUND, ERR_DIGEST.
int manifest_read(struct store *s, const char *repo, const struct digest *d, struct buf *ret,
		  struct err *e) must_check;

// ---- staging (stage.c, barrier.c)

enum staged_kind { STAGED_BLOB, STAGED_LINK, STAGED_MANIFEST, STAGED_TAG, STAGED_ORIGIN };

// Whoever waits until what was staged for them is durable and has its names. Lives on their stack.
struct waiter {
	bool done;   // under lock; nobody else knows of it any more
	bool failed; // with `e`
	struct err e;
	struct waiter *next;
};

// Something that has been put and has no name yet.
struct staged {
	enum staged_kind kind;
	struct digest digest;
	char *repo;
	char *text; // the tag; the origin; of a LINK, the repository that has the file (NULL: the
		    // pool has); of a MANIFEST, the digest of its subject, or NULL
	char *file; // below the state folder
	unsigned pieces; // 0: FILE is one file, else it is FILE.000, FILE.001, …
	uint64_t size;
	int fd; // keeps the lock of a part, and its I/O error; or -1
	struct waiter *waiter;
	bool failed; // its waiter has been told, and it gets no name
	struct staged *next;
};

// What one barrier closes.
struct batch {
	struct staged *first, **last;
	struct staged *failed;  // taken out of the list
	struct waiter *waiters; // of all of it, but for `unwaited` items
	size_t nwaiters, unwaited;
	struct map names; // "b REPO DIGEST", "m REPO DIGEST", "t REPO TAG", "d DIGEST"
	uint64_t bytes, since_us;
	size_t items, files, held;
};

struct batch *batch_new(void);
// DROP also removes the files that have no name.
void batch_free(struct store *s, struct batch *b, bool drop);
// Takes ownership of IT.
void stage_add(struct store *s, struct staged *it);
// The same for N items that belong to W, into one batch. barrier_wait is next.
void stage_for(struct store *s, struct waiter *w, struct staged **items, size_t n);
struct staged *staged_new(enum staged_kind kind, const char *repo, const struct digest *d);
// A copy of what is staged under KEY ("b REPO DIGEST", …); NULL when there is nothing. Caller
// frees with staged_free; its fd is -1.
struct staged *staged_find(struct store *s, const char *key);
void staged_free(struct staged *it);
DEFINE_AUTO(staged_free, struct staged)
// Calls FN, under lock, for everything that is staged.
void staged_each(struct store *s, void (*fn)(void *arg, const struct staged *it), void *arg);
// The store may be written and has not failed.
int stage_ready(struct store *s, const char *repo, struct err *e) must_check;
// A new file in our temporary folder; *ret_file is its name below the state folder.
int stage_temp(struct store *s, char **ret_file, struct err *e) must_check;
char *stage_temp_name(struct store *s);
// Writes the file of a manifest. Caller adds it, or frees it after unlinking the file.
struct staged *stage_manifest(struct store *s, const char *repo, struct str bytes,
			      const struct digest *d, struct err *e) must_check;
char *piece_name(const char *file, unsigned pieces, unsigned i);
void piece_unlink(int root, const char *file, unsigned pieces);
int piece_rename(int from, const char *file, unsigned pieces, int to, const char *name);
int err_space(struct store *s, uint64_t needed, const char *what, struct err *e);

// Runs a barrier when it is time for one.
int barrier_if_due(struct store *s, struct err *e) must_check;
int barrier_now(struct store *s, bool seal, struct err *e) must_check;
// Until what was staged for W is over. Those who wait at the same time share a barrier. What fails
// for W, or for W's batch, leaves the store usable: its files had no name and are gone.
int barrier_wait(struct store *s, struct waiter *w, struct err *e) must_check;
// With flush_lock held.
int barrier_run(struct store *s, struct err *e) must_check;
// Makes the names in folders PATHS of ROOT durable. Sorts PATHS.
int barrier_sync_folders(struct store *s, int root, struct strlist *paths, struct err *e)
	must_check;

// ---- what servers write (upload.c, commit.c, key.c)

void uploads_release(struct store *s);
// Unix time, as the filesystem that ages our files has it.
int64_t store_clock(struct store *s);
// S is a writable store of the linked layout, and REPO a name.
int linked_ready(struct store *s, const char *repo, struct err *e) must_check;
// Files of the pool that were hashed lately, a bounded number of them.
bool good_known(struct store *s, const struct stat *st, const struct digest *d);
void good_remember(struct store *s, const struct stat *st, const struct digest *d);
// Waits for the lock of REPO: LOCK_SH while names are made that rest on others, LOCK_EX to take
// names away. *ret_fd -1: there is no such repository yet, or no locks here.
int repo_lock(struct store *s, const char *repo, int operation, int *ret_fd, struct err *e)
	must_check;
// FILE below the state folder, with the bytes of D, becomes blob D of REPO, durably; what the pool
// has already is used instead when it is good, and replaced everywhere when it is damaged. FD is
// FILE's, borrowed. FILE may be there still afterwards, and is nobody's.
int blob_commit(struct store *s, const char *repo, const struct digest *d, const char *file, int fd,
		uint64_t size, struct err *e) must_check;

// ---- referrers (referrers.c)

// The subject of the manifest BYTES; false when it has none.
bool manifest_subject(struct str bytes, struct digest *ret);
struct referrers *referrers_new(void);
void referrers_free(struct referrers *r); // NULL is fine

// ---- layouts

// A file that may hold what is looked for (file.c).
struct place {
	int root;
	char path[STORE_PATH_MAX]; // below root
	bool pieces;               // it may be PATH.000, PATH.001, …
	bool guess;                // a manifest if its bytes look like one
	bool sized;                // SIZE is known
	uint64_t size;
};

struct layout {
	const char *name;   // as --layout spells it
	const char *state;  // our own folder
	const char *format; // the whole of STATE/format, or what it starts with
	int (*open)(struct store *s, struct buf *notice, struct err *e);
	void (*close)(struct store *s);
	// Only what has a name; ERR_NOT_FOUND.
	int (*blob_open)(struct store *s, const char *repo, const struct digest *d,
			 struct content *ret, struct err *e);
	// D in any repository but REPO. *ret_home: who has the file; NULL when it belongs to all.
	int (*blob_find)(struct store *s, const char *repo, const struct digest *d,
			 struct content *ret, char **ret_home, struct err *e);
	// Another process may have added something.
	void (*refresh)(struct store *s);
	int (*manifest_read)(struct store *s, const char *repo, const struct digest *d,
			     struct buf *ret, struct err *e);
	// All names that a put of this manifest makes are there.
	bool (*manifest_complete)(struct store *s, const char *repo, const struct digest *d);
	// *ret_file is set, and BYTES filled, when the tag is the manifest itself.
	int (*tag_get)(struct store *s, const char *repo, const char *tag, struct digest *ret,
		       struct buf *bytes, bool *ret_file, struct err *e);
	int (*tags)(struct store *s, const char *repo, struct strlist *ret, struct err *e);
	int (*repositories)(struct store *s, struct strlist *ret, struct err *e);
	// Digests of the manifests and of the other blobs of REPO.
	int (*contents)(struct store *s, const char *repo, struct strlist *ret_manifests,
			struct strlist *ret_blobs, struct err *e);
	// The repository whose folder gets the file when REPO is first to want it. Caller frees.
	char *(*place)(struct store *s, const char *repo, const struct digest *d);
	// Under lock: IT was staged.
	void (*staged)(struct store *s, const struct staged *it);
	// Gives names to a batch whose data is durable, in the order blobs, manifests, tags.
	int (*name_batch)(struct store *s, struct batch *b, struct err *e);
	int (*seal)(struct store *s, struct err *e);
	int (*origins_load)(struct store *s, struct err *e);

	// For store/file.h. `where` and `has_repository` do not read files.
	// The I-th place where REPO's D may be, as a manifest or as a blob; false: no further one.
	bool (*where)(struct store *s, const char *repo, const struct digest *d, bool manifest,
		      unsigned i, struct place *ret);
	bool tag_links; // a tag is v2/REPO/manifests/TAG; else tag_get does not read files
	bool (*has_repository)(struct store *s, const char *repo);
	// Another number whenever the manifests of REPO may have changed.
	uint64_t (*stamp)(struct store *s, const char *repo);
	bool keeps_referrers;                      // v2/REPO/referrers/SUBJECT/
	bool (*unfinished)(const struct store *s); // NULL: it never is
};

extern const struct layout layout_oc, layout_portable, layout_linked, layout_oci;

struct store {
	char *dir;
	enum store_mode mode;
	enum store_layout kind;
	const struct layout *layout;
	struct slab_pool *pool;
	struct cancel *cancel;
	int dir_fd, state_fd, v2_fd; // -1: not there
	int tmp_fd;                  // our own temporary folder, locked
	char *tmp;                   // its name below the state folder
	bool locks;                  // flock works here
	bool made_state;             // by this process: close takes it away if it stayed empty
	char *stood;                 // the folder above `dir` that was there before
	atomic_uint serial;
	size_t held_max; // descriptors that a batch may hold
	uint64_t piece_bytes, barrier_bytes, barrier_us, busy_bytes; // tests change them
	void *own;                                                   // the layout's

	pthread_mutex_t flush_lock;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_cond_t settled; // of waiters
	bool leading;           // one of the waiters sees to the barrier
	struct batch *batch;    // being filled
	struct batch *naming;   // being closed by a barrier; or NULL
	struct map writing;     // digests that a thread is putting
	struct map verdicts;    // what was hashed in this run
	struct err failed;      // of a barrier: nothing can be put any more
	uint64_t barriers;      // so many have been run
	size_t waited;          // for the last of them

	// Under flush_lock: folders of v2 and of the state folder whose names may not be durable.
	struct strlist unsynced[2];
	struct uploads *uploads; // under lock; made by its first user
	int64_t clock_shift;     // tests change it

	struct referrers *referrers; // has a lock of its own

	pthread_mutex_t origin_lock; // never together with the others
	struct map origins;          // "REPO DIGEST" → text
	bool origins_loaded;
};

// ---- origins (origin.c)

bool origin_ok(struct str text);
// What a layout's origins_load found. Bad ones are ignored.
void origin_remember(struct store *s, struct str repo, struct str digest, struct str origin);
// Calls FN for every origin.
int origin_each(struct store *s,
		int (*fn)(void *arg, const char *repo, const struct digest *d, const char *origin,
			  struct err *e),
		void *arg, struct err *e) must_check;

#endif
