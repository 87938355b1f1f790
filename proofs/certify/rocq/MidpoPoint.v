(* MidpoPoint.v: refutations. A policy as a tree of dyadic laws over four tokens, bounds of
   ln 2, and the tactic [midpo_point], which computes both sides at a point in Q(ln 2). *)

From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Import ListNotations.
Open Scope R_scope.

(* ------------------------------------------------------------------ *)
(** * 1. Policies: the law of the next token depends on the tokens before it *)

Definition vocabulary : list nat := [0; 1; 2; 3]%nat.

(** The probabilities of the four tokens: 1/2^a, 1/2^b, 1/2^c and 1/2^d. *)
Definition law4 (a b c d : nat) (v : nat) : R :=
  match v with 0 => / 2 ^ a | 1 => / 2 ^ b | 2 => / 2 ^ c | _ => / 2 ^ d end%nat.

Fixpoint same (p q : list nat) : bool :=
  match p, q with
  | [], [] => true
  | a :: p', b :: q' => if Nat.eqb a b then same p' q' else false
  | _, _ => false
  end.

(** Prefixes and the exponents of their laws; any other prefix has the uniform law. *)
Definition tree : Type := list (list nat * (nat * nat * nat * nat)).
Fixpoint law_after (policy : tree) (prefix : list nat) : nat -> R :=
  match policy with
  | [] => law4 2 2 2 2
  | (p, (a, b, c, d)) :: rest => if same p prefix then law4 a b c d else law_after rest prefix
  end.

Fixpoint proper (policy : tree) : Prop :=
  match policy with
  | [] => True
  | (_, (a, b, c, d)) :: rest => / 2 ^ a + / 2 ^ b + / 2 ^ c + / 2 ^ d = 1 /\ proper rest
  end.

Lemma law4_positive a b c d v : 0 < law4 a b c d v.
Proof.
  destruct v as [| [| [| v]]]; simpl; apply Rinv_0_lt_compat, pow_lt; lra.
Qed.

Theorem law_positive policy prefix v : 0 < law_after policy prefix v.
Proof.
  induction policy as [| [p [[[a b] c] d]] rest IH]; simpl; [apply law4_positive |].
  destruct (same p prefix); [apply law4_positive | exact IH].
Qed.

Theorem law_below policy prefix v : proper policy -> law_after policy prefix v < 1.
Proof.
  assert (Law : forall a b c d, / 2 ^ a + / 2 ^ b + / 2 ^ c + / 2 ^ d = 1 -> law4 a b c d v < 1).
  { intros a b c d H.
    pose proof (law4_positive a b c d 0). pose proof (law4_positive a b c d 1).
    pose proof (law4_positive a b c d 2). pose proof (law4_positive a b c d 3).
    destruct v as [| [| [| v]]]; simpl in *; lra. }
  induction policy as [| [p [[[a b] c] d]] rest IH]; simpl.
  - intros _. apply Law. simpl. lra.
  - intros [H R]. destruct (same p prefix); [now apply Law | now apply IH].
Qed.

Theorem law_total policy prefix :
  proper policy -> suml vocabulary (fun v => law_after policy prefix v) = 1.
Proof.
  induction policy as [| [p [[[a b] c] d]] rest IH]; simpl; [intros _; lra |].
  intros [H R]. destruct (same p prefix); [simpl; lra | now apply IH].
Qed.

(* ------------------------------------------------------------------ *)
(** * 2. Bounds of ln 2: 16 times the logarithm of its sixteenth root *)

Lemma exp_sixteen x r : 0 <= r -> r <= 1 + x -> r ^ 16 <= exp (16 * x).
Proof.
  intros P H.
  replace (exp (16 * x)) with (exp x ^ 16).
  - apply pow_incr. split; [exact P |]. pose proof (exp_ineq1_le x). lra.
  - rewrite <- (Rpower_pow 16) by apply exp_pos. unfold Rpower. rewrite ln_exp.
    f_equal. rewrite INR_IZR_INZ. reflexivity.
Qed.

Definition ln2_low : R := 67 / 100.
Definition ln2_high : R := 71 / 100.

Lemma ln2_bounds : ln2_low <= ln 2 <= ln2_high.
Proof.
  unfold ln2_low, ln2_high. split.
  - pose proof (exp_sixteen (- (67 / 1600)) (1 - 67 / 1600)) as H.
    assert (E : / 2 <= exp (16 * - (67 / 1600))) by (apply Rle_trans with (2 := H ltac:(lra) ltac:(lra)); cbn [pow]; lra).
    replace (16 * - (67 / 1600)) with (- (67 / 100)) in E by lra. rewrite exp_Ropp in E.
    pose proof (exp_pos (67 / 100)).
    assert (exp (67 / 100) <= 2).
    { pose proof (Rinv_le_contravar (/ 2) (/ exp (67 / 100)) ltac:(lra) E) as G.
      rewrite !Rinv_inv in G. exact G. }
    apply Rnot_lt_le. intro C. apply exp_increasing in C. rewrite exp_ln in C by lra. lra.
  - pose proof (exp_sixteen (71 / 1600) (1 + 71 / 1600)) as H.
    assert (E : 2 <= exp (16 * (71 / 1600))) by (apply Rle_trans with (2 := H ltac:(lra) ltac:(lra)); cbn [pow]; lra).
    replace (16 * (71 / 1600)) with (71 / 100) in E by lra.
    apply Rnot_lt_le. intro C. apply exp_increasing in C. rewrite exp_ln in C by lra. lra.
Qed.

Lemma ln2_pow_bounds k : ln2_low ^ k <= ln 2 ^ k <= ln2_high ^ k.
Proof.
  pose proof ln2_bounds as B. unfold ln2_low, ln2_high in *.
  split; apply pow_incr; lra.
Qed.

(* ------------------------------------------------------------------ *)
(** * 3. Both sides at a point *)

(** A polynomial in ln 2, or a quotient of two, is not 0: its terms are between those of the
    bounds. *)
Ltac midpo_nonzero_ln2 :=
  lazymatch goal with
  | |- _ / _ <> _ => apply Rmult_integral_contrapositive_currified; [| apply Rinv_neq_0_compat]
  | |- _ => idtac
  end;
  pose proof (ln2_pow_bounds 1); pose proof (ln2_pow_bounds 2);
  pose proof (ln2_pow_bounds 3); pose proof (ln2_pow_bounds 4);
  unfold ln2_low, ln2_high in *; cbn [pow] in *; lra.

Ltac midpo_compute :=
  cbv beta iota zeta delta
    [seq_prob sumn prodn suml KL entropy vocabulary length nth firstn Nat.add
     law_after law4 same Nat.eqb stopped].

(** Powers and exponentials whose value is a power of 2. *)
Lemma exp_two k e : e = INR k * ln 2 -> exp e = 2 ^ k.
Proof. intros ->. rewrite <- (Rpower_pow k 2) by lra. reflexivity. Qed.
Lemma exp_half k e : e = - (INR k * ln 2) -> exp e = / 2 ^ k.
Proof. intros ->. now rewrite exp_Ropp, (exp_two k). Qed.
Lemma Rpower_log b r lb : LogOf b lb -> Rpower b r = exp (r * lb).
Proof. intros [_ <-]. reflexivity. Qed.

Ltac midpo_power_of_two e k :=
  lazymatch k with
  | 12%nat => fail
  | _ =>
      first
        [ rewrite (exp_two k e) by (midpo_counts; midpo_field)
        | rewrite (exp_half k e) by (midpo_counts; midpo_field)
        | midpo_power_of_two e constr:(S k) ]
  end.

Lemma ln_two k e : e = 2 ^ k -> ln e = INR k * ln 2.
Proof. intros ->. rewrite <- (Rpower_pow k 2) by lra. apply ln_exp. Qed.
Lemma ln_half k e : e = / 2 ^ k -> ln e = - (INR k * ln 2).
Proof. intros ->. rewrite ln_Rinv by (apply pow_lt; lra). now rewrite (ln_two k). Qed.

(** Logarithms of numbers that are powers of 2, be they written as differences. *)
Ltac midpo_log_of_two e k :=
  lazymatch k with
  | 12%nat => fail
  | _ =>
      first
        [ rewrite (ln_two k e) by (midpo_counts; cbn [pow]; first [lra | field])
        | rewrite (ln_half k e) by (midpo_counts; cbn [pow]; first [lra | field])
        | midpo_log_of_two e constr:(S k) ]
  end.

Ltac midpo_below :=
  midpo_counts; pose proof (ln2_pow_bounds 1); pose proof (ln2_pow_bounds 2);
  unfold ln2_low, ln2_high in *; cbn [pow] in *; lra.

Lemma step_one m : 0 <= m -> step m = 1.
Proof. unfold step. destruct (Rle_dec 0 m); [reflexivity | lra]. Qed.
Lemma step_zero m : m < 0 -> step m = 0.
Proof. unfold step. destruct (Rle_dec 0 m); [lra | reflexivity]. Qed.

(** Functions at a point, from the innermost out. *)
Ltac midpo_values :=
  unfold relu;
  repeat first
    [ progress midpo_logs
    | match goal with
      | |- context [Rpower ?b ?r] => erewrite (Rpower_log b r) by (once typeclasses eauto)
      | |- context [exp ?e] =>
          midpo_innermost (exp e);
          let close _ := (midpo_counts; midpo_field) in
          first [midpo_power_of_two e O | midpo_twins (exp e) close; midpo_hide (exp e)]
      | |- context [Rmax ?a ?b] =>
          first [rewrite (Rmax_left a b) by midpo_below | rewrite (Rmax_right a b) by midpo_below]
      | |- context [Rmin ?a ?b] =>
          first [rewrite (Rmin_left a b) by midpo_below | rewrite (Rmin_right a b) by midpo_below]
      | |- context [Rabs ?a] =>
          first [rewrite (Rabs_pos_eq a) by midpo_below | rewrite (Rabs_left a) by midpo_below]
      | |- context [step ?a] =>
          first [rewrite (step_one a) by midpo_below | rewrite (step_zero a) by midpo_below]
      | |- context [ln ?e] =>
          lazymatch e with
          | 2 => fail
          | context [ln _] => fail
          | _ => midpo_log_of_two e O
          end
      end ].

Ltac midpo_point :=
  midpo_compute; midpo_logs;
  first
    [ solve [midpo_counts; midpo_field]
    | solve [midpo_sums 3%nat]
    | midpo_values; midpo_counts; midpo_field ].

(** Bounds of data by token: entry by entry, and beyond the last. *)
Ltac midpo_entries most :=
  first
    [ lra
    | lazymatch most with
      | S ?fewer => match goal with t : nat |- _ => destruct t; cbn [nth]; midpo_entries fewer end
      end ].

Ltac midpo_fact :=
  intros;
  repeat match goal with y : bool |- _ => destruct y end;
  cbv beta iota; cbn [length]; rewrite ?S_INR; change (INR 0) with 0;
  first
    [ apply law_positive
    | apply prodn_pos; intro; apply law_positive
    | apply law_below; cbn [proper pow]; repeat split; lra
    | midpo_compute; cbn [pow]; lra
    | apply law_total; cbn [proper pow]; repeat split; lra
    | cbn [proper pow]; repeat split; lra
    | lra
    | midpo_entries 12%nat
    | midpo_instance ].

Ltac midpo_refuted :=
  repeat match goal with |- _ /\ _ => split end;
  first [ solve [midpo_fact] | solve [midpo_nonzero_ln2] | midpo_point ].
