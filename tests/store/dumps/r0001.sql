BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE alert (
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	"column" TEXT NOT NULL, 
	state TEXT NOT NULL, 
	since_seconds FLOAT NOT NULL, 
	raised_seconds FLOAT, 
	streak INTEGER NOT NULL, 
	evidence TEXT NOT NULL, 
	saved_seconds FLOAT NOT NULL, 
	PRIMARY KEY (model, version, rule, "column")
);
INSERT INTO "alert" VALUES('iris','3','drift','petal','firing',1000.0,1060.0,2,'{"p":1e-12}',1060.0);
CREATE TABLE alert_log (
	id INTEGER NOT NULL, 
	at_seconds FLOAT NOT NULL, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	"column" TEXT NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "alert_log" VALUES(1,1060.0,'iris','3','drift','petal','pending','firing','{"p":1e-12}');
CREATE TABLE cell (
	subject_id INTEGER NOT NULL, 
	start_seconds FLOAT NOT NULL, 
	end_seconds FLOAT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	is_open BOOLEAN NOT NULL, 
	counts BLOB NOT NULL, 
	checksum INTEGER NOT NULL, 
	PRIMARY KEY (subject_id, start_seconds, end_seconds, ordinal), 
	FOREIGN KEY(subject_id) REFERENCES subject (id) ON DELETE CASCADE
);
INSERT INTO "cell" VALUES(1,1000.0,1060.0,0,0,X'7801636480002628CD0CA50100680007',1421107226);
INSERT INTO "cell" VALUES(1,1060.0,1120.5,0,0,X'78016361800056280DA61819180000CB000B',930730925);
INSERT INTO "cell" VALUES(1,1120.5,1130.0,0,1,X'7801636040058C502E0000200002',3586530781);
CREATE TABLE outbox (
	event_id TEXT NOT NULL, 
	dedupe_key TEXT NOT NULL, 
	is_outstanding BOOLEAN NOT NULL, 
	body BLOB NOT NULL, 
	created_seconds FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_try_seconds FLOAT, 
	outcome TEXT NOT NULL, 
	last_error TEXT NOT NULL, 
	PRIMARY KEY (event_id)
);
INSERT INTO "outbox" VALUES('event-1','iris drift',1,X'7B226964223A20317D',1060.0,1,1065.0,'waiting','500');
CREATE TABLE subject (
	id INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	profile_hash TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (model, version, profile_hash)
);
INSERT INTO "subject" VALUES(1,'iris','3','sha256:abc');
CREATE INDEX alert_log_of_model ON alert_log (model, id);
CREATE INDEX outbox_next_try ON outbox (next_try_seconds);
CREATE UNIQUE INDEX outbox_outstanding ON outbox (dedupe_key) WHERE is_outstanding;
COMMIT;
