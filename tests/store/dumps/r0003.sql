BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
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
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at_seconds FLOAT NOT NULL, 
	actor TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	model TEXT NOT NULL, 
	from_generation INTEGER NOT NULL, 
	to_generation INTEGER NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	prev_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,1000.0,'ann','r-0','set_live','iris',0,1,'{"model":"iris","generation":0,"live":null,"live_digest":"","live_since_seconds":0.0,"previous":null,"previous_digest":"","canary":null,"shadows":[],"held":"","refused":{}}','{"model":"iris","generation":1,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1000.0,"previous":null,"previous_digest":"","canary":null,"shadows":[],"held":"","refused":{}}','because','{"gates":{"errors":"pass"}}','0000000000000000000000000000000000000000000000000000000000000000','c202c22c8c6733485f0fb5111c62b1559d668edd7a4259739eb925bac03955f8');
INSERT INTO "audit" VALUES(2,1001.0,'ann','r-1','promote','iris',1,2,'{"model":"iris","generation":1,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1000.0,"previous":null,"previous_digest":"","canary":null,"shadows":[],"held":"","refused":{}}','{"model":"iris","generation":2,"live":"2","live_digest":"0000000000000000000000000000000000000000000000000000000000000002","live_since_seconds":1001.0,"previous":"1","previous_digest":"0000000000000000000000000000000000000000000000000000000000000001","canary":null,"shadows":[],"held":"","refused":{}}','because','{"gates":{"errors":"pass"}}','c202c22c8c6733485f0fb5111c62b1559d668edd7a4259739eb925bac03955f8','f30a4bf6a45110a96516ce4554420adc8dabbf5cf553b1cb26d7f8c7368ed7a4');
INSERT INTO "audit" VALUES(3,1002.0,'ann','r-2','rollback','iris',2,3,'{"model":"iris","generation":2,"live":"2","live_digest":"0000000000000000000000000000000000000000000000000000000000000002","live_since_seconds":1001.0,"previous":"1","previous_digest":"0000000000000000000000000000000000000000000000000000000000000001","canary":null,"shadows":[],"held":"","refused":{}}','{"model":"iris","generation":3,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','f30a4bf6a45110a96516ce4554420adc8dabbf5cf553b1cb26d7f8c7368ed7a4','1c6411573ff009479d63c17d2db4a44e1b376f70aebb895778a76e070d0f9f39');
INSERT INTO "audit" VALUES(4,1003.0,'ann','r-3','start_shadow','iris',3,4,'{"model":"iris","generation":3,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":4,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','1c6411573ff009479d63c17d2db4a44e1b376f70aebb895778a76e070d0f9f39','780db9a7dacefbeb9befa95ac1b324b0261c6d60490cd2d8e96eaf29aa045b7e');
INSERT INTO "audit" VALUES(5,1004.0,'ann','r-4','start_canary','iris',4,5,'{"model":"iris","generation":4,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":5,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":0,"step_since_seconds":1004.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','780db9a7dacefbeb9befa95ac1b324b0261c6d60490cd2d8e96eaf29aa045b7e','a1c4a34f45c3da98b50d3a8095af506df9a96796ee2437fe3db024bbee0531b4');
INSERT INTO "audit" VALUES(6,1005.0,'ann','r-5','next_step','iris',5,6,'{"model":"iris","generation":5,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":0,"step_since_seconds":1004.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":6,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1005.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','a1c4a34f45c3da98b50d3a8095af506df9a96796ee2437fe3db024bbee0531b4','927589ba94e3bc1d2a144c23c7fe4425bc2187c8c45e7ca30be5331c7d63f171');
INSERT INTO "audit" VALUES(7,1006.0,'ann','r-6','hold','iris',6,7,'{"model":"iris","generation":6,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1005.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":7,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1005.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"no data","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','927589ba94e3bc1d2a144c23c7fe4425bc2187c8c45e7ca30be5331c7d63f171','e98a4c00f710ce4dbfd1bd450092a7495ec606145799306ece01d815761cc173');
INSERT INTO "audit" VALUES(8,1007.0,'ann','r-7','resume','iris',7,8,'{"model":"iris","generation":7,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1005.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1003.0}],"held":"no data","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":8,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1007.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','e98a4c00f710ce4dbfd1bd450092a7495ec606145799306ece01d815761cc173','10628d47c2e65152c20f470d5ab7e4feea64c9ec2ba44481562bd96e64c3bc66');
INSERT INTO "audit" VALUES(9,1008.0,'ann','r-8','approve','iris',8,9,'{"model":"iris","generation":8,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1007.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":""},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":9,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1007.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":"bob"},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','because','{"gates":{"errors":"pass"}}','10628d47c2e65152c20f470d5ab7e4feea64c9ec2ba44481562bd96e64c3bc66','7a77f1682988de57ecb3441a923ca8b2ba8a1400a5ab62dcd03a80dafc6b2957');
INSERT INTO "audit" VALUES(10,1009.0,'ann','r-9','stop_canary','iris',9,10,'{"model":"iris","generation":9,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","steps":[100,500,2500,5000],"step":1,"step_since_seconds":1007.0,"epoch":"5","salt":"iris/5","needs_approval":true,"requested_by":"ann","approved_by":"bob"},"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse"}}','{"model":"iris","generation":10,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse","0000000000000000000000000000000000000000000000000000000000000003":"stopped by an operator: enough"}}','because','{"gates":{"errors":"pass"}}','7a77f1682988de57ecb3441a923ca8b2ba8a1400a5ab62dcd03a80dafc6b2957','457abe9016f1b98abab5dae962b45f61fc0c5f784ba8c2d01fc7fdc8d086318c');
INSERT INTO "audit" VALUES(11,1010.0,'ann','r-10','refuse','iris',10,11,'{"model":"iris","generation":10,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[{"version":"3","digest":"0000000000000000000000000000000000000000000000000000000000000003","sample_bp":10000,"epoch":"4","since_seconds":1007.0}],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse","0000000000000000000000000000000000000000000000000000000000000003":"stopped by an operator: enough"}}','{"model":"iris","generation":11,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse","0000000000000000000000000000000000000000000000000000000000000003":"it flips labels"}}','because','{"gates":{"errors":"pass"}}','457abe9016f1b98abab5dae962b45f61fc0c5f784ba8c2d01fc7fdc8d086318c','9bc927bf48da4c767048c07912ad0000a8f38834e444eefa417c358c6a9d07da');
INSERT INTO "audit" VALUES(12,1011.0,'ann','r-11','fall_back','iris',11,12,'{"model":"iris","generation":11,"live":"1","live_digest":"0000000000000000000000000000000000000000000000000000000000000001","live_since_seconds":1002.0,"previous":"2","previous_digest":"0000000000000000000000000000000000000000000000000000000000000002","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000002":"rolled back: worse","0000000000000000000000000000000000000000000000000000000000000003":"it flips labels"}}','{"model":"iris","generation":12,"live":"2","live_digest":"0000000000000000000000000000000000000000000000000000000000000002","live_since_seconds":1011.0,"previous":"1","previous_digest":"0000000000000000000000000000000000000000000000000000000000000001","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000003":"it flips labels"}}','because','{"gates":{"errors":"pass"}}','9bc927bf48da4c767048c07912ad0000a8f38834e444eefa417c358c6a9d07da','3316f3d334c1b6f8691255d3241fd4246bcac50b8243647f198dced51518b373');
CREATE TABLE audit_head (
	id INTEGER NOT NULL, 
	seq INTEGER NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audit_head" VALUES(1,12,'3316f3d334c1b6f8691255d3241fd4246bcac50b8243647f198dced51518b373');
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
CREATE TABLE cohort (
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	task TEXT NOT NULL, 
	role TEXT NOT NULL, 
	segment TEXT NOT NULL, 
	is_acted_on BOOLEAN NOT NULL, 
	hour INTEGER NOT NULL, 
	predicted INTEGER NOT NULL, 
	counts BLOB NOT NULL, 
	checksum INTEGER NOT NULL, 
	PRIMARY KEY (model, version, digest, task, role, segment, is_acted_on, hour)
);
INSERT INTO "cohort" VALUES('iris','3','abc','binary','live','',0,480000,2,X'78015D8E5D0AC3201084EFB2CF12549A9F7A95108A496C225837A869282177AF0A25256FC3CCEE7CB383C3CD8360049C9EE690D56AA5F59B726A044109F801B38C3701976C0D689FABD76841B42D2CE875D06F05E44FB2AE236064AF8C493DFB190976103809D764D6210EBABA3F468CDA969594E47EAB2699C8C98D38BFBEF26BEFB472D1A205AD789976E0F430E8D3192D7853570DA735BF95AC6EE8BD8B734665E42777E7E6E30B99415A12',3654586852);
CREATE TABLE evidence (
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	epoch TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	saved_seconds FLOAT NOT NULL, 
	PRIMARY KEY (model, version, epoch)
);
INSERT INTO "evidence" VALUES('iris','3','4','{"n":1}',144481233,1000.0);
CREATE TABLE idempotency (
	"key" TEXT NOT NULL, 
	model TEXT NOT NULL, 
	body_hash TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	response BLOB NOT NULL, 
	at_seconds FLOAT NOT NULL, 
	PRIMARY KEY ("key", model)
);
INSERT INTO "idempotency" VALUES('key-1','iris','abc',200,X'7B2267656E65726174696F6E223A317D',1000.0);
CREATE TABLE label (
	at_us BIGINT NOT NULL, 
	tag BIGINT NOT NULL, 
	"row" INTEGER NOT NULL, 
	label TEXT NOT NULL, 
	first_label TEXT NOT NULL, 
	is_acted_on BOOLEAN NOT NULL, 
	received_seconds FLOAT NOT NULL, 
	corrections INTEGER NOT NULL, 
	PRIMARY KEY (at_us, tag, "row")
);
INSERT INTO "label" VALUES(1728000000000001,1,0,'1','0',0,1060.0,1);
CREATE TABLE label_pair (
	model TEXT NOT NULL, 
	live TEXT NOT NULL, 
	live_digest TEXT NOT NULL, 
	candidate TEXT NOT NULL, 
	candidate_digest TEXT NOT NULL, 
	both INTEGER NOT NULL, 
	live_only INTEGER NOT NULL, 
	candidate_only INTEGER NOT NULL, 
	neither INTEGER NOT NULL, 
	PRIMARY KEY (model, live, live_digest, candidate, candidate_digest)
);
INSERT INTO "label_pair" VALUES('iris','3','abc','4','def',1,2,3,4);
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
CREATE TABLE prediction_block (
	id INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	kind INTEGER NOT NULL, 
	level INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	first_us BIGINT NOT NULL, 
	last_us BIGINT NOT NULL, 
	has_own_ids BOOLEAN NOT NULL, 
	content BLOB NOT NULL, 
	checksum INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "prediction_block" VALUES(1,'iris','3','abc',3197572273,0,2,1728000000000001,1728000000000002,0,X'3C0200007B22706C616E223A7B227461736B223A2262696E617279222C226C6162656C5F6B696E64223A22696E7465676572222C2273636F726573223A2270222C226C6162656C73223A22222C2276616C7565223A22222C22706C616365223A312C2269735F73696E676C65223A66616C73652C22636C6173736573223A322C22706F736974697665223A6E756C6C2C226B6E6F776E223A5B5D7D2C22776F726473223A5B2230222C2231225D2C22706C61636573223A5B5B302C2230225D2C5B312C2231225D5D2C227365676D656E7473223A5B5D2C227365676D656E745F776F726473223A5B5D2C22636F6C756D6E73223A5B5B227265717565737473222C2261745F7573222C223C6938222C5B325D2C66616C73655D2C5B227265717565737473222C22746167222C223C7534222C5B325D2C747275655D2C5B227265717565737473222C226F776E5F6964222C223C7538222C5B325D2C747275655D2C5B227265717565737473222C2266697273745F726F77222C223C6934222C5B325D2C747275655D2C5B227265717565737473222C22726F7773222C223C6934222C5B325D2C747275655D2C5B227265717565737473222C22726F6C65222C227C7531222C5B325D2C747275655D2C5B22616E7377657273222C22616E73776572222C223C7532222C5B325D2C66616C73655D2C5B22616E7377657273222C2273636F7265222C223C6634222C5B325D2C66616C73655D2C5B227365676D656E7473222C22636F646573222C227C7531222C5B302C305D2C66616C73655D5D7D01002C5A9B23060002002C5A9B2306000100000000000000000000000000000000000000000000000100000000000000000000000000000000000100000000000000803E0000403F',1953320261);
CREATE TABLE route (
	model TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	route TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	saved_seconds FLOAT NOT NULL, 
	PRIMARY KEY (model)
);
INSERT INTO "route" VALUES('iris',12,'{"model":"iris","generation":12,"live":"2","live_digest":"0000000000000000000000000000000000000000000000000000000000000002","live_since_seconds":1011.0,"previous":"1","previous_digest":"0000000000000000000000000000000000000000000000000000000000000001","canary":null,"shadows":[],"held":"","refused":{"0000000000000000000000000000000000000000000000000000000000000003":"it flips labels"}}',2059585854,1011.0);
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
CREATE INDEX audit_of_model ON audit (model, seq);
CREATE INDEX idempotency_at ON idempotency (at_seconds);
CREATE INDEX prediction_block_last_us ON prediction_block (last_us);
COMMIT;
