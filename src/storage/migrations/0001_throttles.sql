CREATE TABLE `known_addresses` (
	`user` text NOT NULL,
	`address` text NOT NULL,
	`expires_at` integer NOT NULL,
	PRIMARY KEY(`user`, `address`)
);
--> statement-breakpoint
CREATE INDEX `known_addresses_expires_at` ON `known_addresses` (`expires_at`);--> statement-breakpoint
CREATE TABLE `throttles` (
	`key` text PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`next_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `throttles_expires_at` ON `throttles` (`expires_at`);