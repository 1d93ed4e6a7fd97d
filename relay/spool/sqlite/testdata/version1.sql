-- A store of schema version 1, as the last program of that version left it, with a message in each state.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN TRANSACTION;
CREATE TABLE chunk (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
INSERT INTO "chunk" VALUES(65536,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(131072,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(196608,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(262144,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(458752,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(524288,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
INSERT INTO "chunk" VALUES(655360,2971019496,X'5375626A6563743A20780D0A0D0A626F64790D0A');
CREATE TABLE draft (n INTEGER PRIMARY KEY);
CREATE TABLE ending (
	e INTEGER PRIMARY KEY,
	mailboxes TEXT NOT NULL,
	sender TEXT NOT NULL,
	since INTEGER NOT NULL,
	until INTEGER NOT NULL,
	cursor TEXT NOT NULL
);
CREATE TABLE event (
	n INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	at INTEGER NOT NULL,
	kind TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	status INTEGER NOT NULL,
	text TEXT NOT NULL,
	request TEXT NOT NULL,
	http INTEGER NOT NULL,
	duration INTEGER NOT NULL,
	PRIMARY KEY (n, seq)
) WITHOUT ROWID;
INSERT INTO "event" VALUES(2,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(2,2,1772366400000000000,'deferred',1,4004001,'text of deferred','',0,0);
INSERT INTO "event" VALUES(3,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(3,2,1772366400000000000,'unknown',1,4004002,'text of doubtful','',0,0);
INSERT INTO "event" VALUES(4,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(4,2,1772366400000000000,'held',1,4004003,'text of held','',0,0);
INSERT INTO "event" VALUES(5,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(5,2,1772366400000000000,'sent',1,4004004,'text of sent','',0,0);
INSERT INTO "event" VALUES(6,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(6,2,1772366400000000000,'bounced',1,4004005,'text of bounced','',0,0);
INSERT INTO "event" VALUES(7,1,1772366400000000000,'attempt',1,0,'','',0,0);
INSERT INTO "event" VALUES(7,2,1772366400000000000,'failed',1,4004006,'text of failed','',0,0);
INSERT INTO "event" VALUES(9,1,1772366400000000000,'deleted',0,0,'deleted','',0,0);
INSERT INTO "event" VALUES(10,1,1772366400000000000,'attempt',1,0,'','',0,0);
CREATE TABLE hold (
	k TEXT PRIMARY KEY,
	mailbox TEXT NOT NULL,
	mailboxes TEXT NOT NULL,
	sender TEXT NOT NULL,
	identity TEXT NOT NULL,
	status INTEGER NOT NULL,
	text TEXT NOT NULL,
	since INTEGER NOT NULL,
	probes INTEGER NOT NULL,
	next_probe INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "hold" VALUES('mailbox:paused@example.org','paused@example.org','','','',0,'no such mailbox; make it',1772366400000000000,0,1772366400000000000);
CREATE TABLE message (
	n INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	state INTEGER NOT NULL,
	lane TEXT NOT NULL,
	mailbox TEXT NOT NULL,
	sender TEXT NOT NULL,
	sender_hash INTEGER NOT NULL,
	reverse_path TEXT NOT NULL,
	recipients TEXT NOT NULL,
	utf8 INTEGER NOT NULL,
	client TEXT NOT NULL,
	client_addr TEXT NOT NULL,
	helo TEXT NOT NULL,
	login TEXT NOT NULL,
	sender_fixed INTEGER NOT NULL,
	report_of TEXT NOT NULL,
	report_delay INTEGER NOT NULL,
	message_id TEXT NOT NULL,
	subject TEXT NOT NULL,
	header_size INTEGER NOT NULL,
	size INTEGER NOT NULL,
	accepted INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	settled INTEGER NOT NULL DEFAULT 0,
	crashes INTEGER NOT NULL DEFAULT 0,
	unknown INTEGER NOT NULL DEFAULT 0,
	next INTEGER NOT NULL DEFAULT 0,
	last INTEGER NOT NULL DEFAULT 0,
	held_for INTEGER NOT NULL DEFAULT 0,
	held_since INTEGER NOT NULL DEFAULT 0,
	status INTEGER NOT NULL DEFAULT 0,
	text TEXT NOT NULL DEFAULT '',
	request TEXT NOT NULL DEFAULT '',
	finished INTEGER NOT NULL DEFAULT 0,
	body_gone INTEGER NOT NULL DEFAULT 0,
	report INTEGER NOT NULL DEFAULT 0,
	warned INTEGER NOT NULL DEFAULT 0,
	events INTEGER NOT NULL DEFAULT 0,
	unreported TEXT NOT NULL DEFAULT ''
);
INSERT INTO "message" VALUES(1,'06eajh8a03wby4b3',0,'queued@example.org','queued@example.org','queued@example.org',6318015608839501783,'queued@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,0,0,0,0,1772366400000000000,0,0,0,0,'','',0,0,0,0,0,'');
INSERT INTO "message" VALUES(2,'06eajh8a03dtymx1',0,'deferred@example.org','deferred@example.org','deferred@example.org',7035146623194063525,'deferred@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,0,1772370000000000000,1772366400000000000,0,0,4004001,'text of deferred','',0,0,0,0,2,'');
INSERT INTO "message" VALUES(3,'06eajh8a015k5g4e',0,'doubtful@example.org','doubtful@example.org','doubtful@example.org',524294512412360953,'doubtful@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,1,1772370000000000000,1772366400000000000,0,0,4004002,'text of doubtful','',0,0,0,0,2,'');
INSERT INTO "message" VALUES(4,'06eajh8a03pmxjvp',2,'held@example.org','held@example.org','held@example.org',4951683170073705192,'held@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,1,0,1772366400000000000,0,1772366400000000000,4004003,'text of held','',0,0,0,0,2,'');
INSERT INTO "message" VALUES(5,'06eajh8a00c12rrb',5,'sent@example.org','sent@example.org','sent@example.org',796888220998850993,'sent@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,0,0,1772366400000000000,0,0,4004004,'text of sent','',1772366400000000000,1,0,0,2,'');
INSERT INTO "message" VALUES(6,'06eajh8a0091xa92',6,'bounced@example.org','bounced@example.org','bounced@example.org',7617357122944586673,'bounced@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,0,0,1772366400000000000,0,0,4004005,'text of bounced','',1772366400000000000,1,1,0,2,'');
INSERT INTO "message" VALUES(7,'06eajh8a0202fcwa',3,'failed@example.org','failed@example.org','failed@example.org',5645204356386235254,'failed@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,1,0,0,0,1772366400000000000,0,0,4004006,'text of failed','',1772366400000000000,0,1,0,2,'');
INSERT INTO "message" VALUES(8,'06eajh8a034j62k0',0,'paused@example.org','paused@example.org','paused@example.org',7683259108468965891,'paused@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,0,0,0,0,1772366400000000000,0,0,0,0,'','',0,0,0,0,0,'');
INSERT INTO "message" VALUES(9,'06eajh8a03dc8cdn',7,'deleted@example.org','deleted@example.org','deleted@example.org',3775738531065319948,'deleted@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,0,0,0,0,0,0,0,0,0,'','',1772366400000000000,1,0,0,1,'');
INSERT INTO "message" VALUES(10,'06eajh8a01cesg24',1,'active@example.org','active@example.org','active@example.org',5800033642241432719,'active@example.org','to@example.org
cc@example.org',0,'local','127.0.0.1:40000','localhost','',0,'',0,'<1@example.org>','a report',0,20,1772366400000000000,1,0,0,0,0,1772366400000000000,0,0,0,'','',0,0,0,0,1,'');
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('mark','real');
INSERT INTO "meta" VALUES('probe','0');
CREATE TABLE word (k INTEGER PRIMARY KEY);
INSERT INTO "word" VALUES (1097362433), (1097362434), (1097362435), (1097362436), (1097362437), (1097362438), (1097362439), (1097362440), (1097362441), (1097362442), (1561762823), (4125565953), (4125565954), (4125565955), (4125565956), (4125565957), (4125565958), (4125565959), (4125565960), (4125565961), (4125565962), (4986212353), (6451952650), (7225495561), (8256420866), (9697036291), (11136138244), (12067279880), (12817370113), (12817370114), (12817370115), (12817370116), (12817370117), (12817370118), (12817370119), (12817370120), (12817370121), (12817370122), (13306688513), (13306688514), (13306688515), (13306688516), (13306688517), (13306688518), (13306688519), (13306688520), (13306688521), (13306688522), (13488447493), (14592525313), (14592525314), (14592525315), (14592525316), (14592525317), (14592525318), (14592525319), (14592525320), (14592525321), (14592525322), (16056394758);
CREATE INDEX due ON message (lane, next, last, sender_hash) WHERE state = 0;
CREATE INDEX by_state ON message (state, id, lane);
CREATE INDEX live ON message (lane, accepted, state, size, body_gone) WHERE state < 5;
CREATE INDEX done ON message (state, body_gone, finished) WHERE finished > 0;
CREATE INDEX owed ON message (finished, id) WHERE report = 1;
COMMIT;
PRAGMA application_id = 1735552121;
PRAGMA user_version = 1;
